/** Messages of protobuf's wire format (protobuf.dev/programming-guides/encoding), of which only listed fields are accepted. */

/** The reason to refuse a graph; `checkGraph` adds the file's name and the remedy. */
export class RefusedError extends Error {}

export const INT = 0;
export const BLOB = 2;
export const FIXED = 5;

/** Name, wire type, and whether the field may repeat. */
export type Field = readonly [name: string, wire?: number, many?: boolean];
export type Fields = Readonly<Record<number, Field>>;
export type Value = bigint | Uint8Array;

/** Fields of one message by name. */
export class Message {
  private readonly single = new Map<string, Value>();
  private readonly repeated = new Map<string, Value[]>();

  constructor(data: Uint8Array, fields: Fields, what: string) {
    for (let at = 0; at < data.length; ) {
      const [tag, start] = varint(data, at);
      const [name, wire = BLOB, many = false] = fields[Number(tag >> 3n)] ?? [""];
      if (name === "" || wire !== Number(tag & 7n) || (!many && this.single.has(name))) {
        throw new RefusedError(`its ${what} has a field ${tag >> 3n} that is unknown, repeated or of another wire type`);
      }
      const [value, next] = wire === INT ? varint(data, start) : blob(data, start, wire, what);
      at = next;
      if (!many) this.single.set(name, value);
      else if (this.repeated.has(name)) this.many(name).push(value);
      else this.repeated.set(name, [value]);
    }
  }

  /** An integer, if it is there. */
  int(name: string): number | undefined {
    const value = this.single.get(name);
    return value === undefined ? undefined : Number(BigInt.asIntN(64, value as bigint));
  }

  bytes(name: string): Uint8Array {
    return (this.single.get(name) ?? new Uint8Array()) as Uint8Array;
  }

  has(name: string): boolean {
    return this.single.has(name);
  }

  text(name: string): string {
    return utf8(this.bytes(name));
  }

  blobs(name: string): Uint8Array[] {
    return this.many(name) as Uint8Array[];
  }

  texts(name: string): string[] {
    return this.blobs(name).map(utf8);
  }

  ints(name: string): number[] {
    return (this.many(name) as bigint[]).map(Number);
  }

  private many(name: string): Value[] {
    return this.repeated.get(name) ?? [];
  }
}

function utf8(data: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new RefusedError("it has a name that is not UTF-8");
  }
}

function blob(data: Uint8Array, at: number, wire: number, what: string): [Uint8Array, number] {
  const [size, start] = wire === FIXED ? [4n, at] : varint(data, at);
  const stop = start + Number(size);
  if (stop > data.length) throw new RefusedError(`its ${what} is truncated`);
  return [data.subarray(start, stop), stop];
}

function varint(data: Uint8Array, at: number): [bigint, number] {
  let value = 0n;
  for (let shift = 0n; shift < 64n; shift += 7n) {
    if (at >= data.length) throw new RefusedError("it ends inside a number");
    const byte = data[at++];
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return [value, at];
  }
  throw new RefusedError("it has a number of more than 64 bits");
}
