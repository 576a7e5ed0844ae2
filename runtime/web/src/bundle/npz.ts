/** Named arrays in one uncompressed .npz with exactly one valid encoding: the reader rebuilds headers and compares them. */

import { BundleError } from "../errors.js";
import { ascii, crc32, equal } from "./bytes.js";
import type { Bytes } from "./bytes.js";

const MOST = 64; // arrays
const LOCAL = 30; // bytes of a member's header
const DATE = 0x21; // 1980-01-01
const HEADER = /^\{'descr': '(<f4|<f8|<i8)', 'fortran_order': False, 'shape': \((\d+,|\d+(?:, \d+)+)?\), \} *\n$/;

/** An array of numbers: float64 unless it holds float32. */
export interface Numbers {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

export type Arrays = ReadonlyMap<string, Numbers>;
type Dimensions = Readonly<Record<string, number>>;

/** Finite arrays of an .npz with these numbers of dimensions by name; `BundleError` for anything the exporter does not write. */
export function readNpz(data: Bytes, name: string, expected: Dimensions, optional: Dimensions = {}): Arrays {
  const [members, end] = membersOf(data, name);
  if (!equal(data.subarray(end), directory(members))) {
    throw new BundleError(`${name} has a wrong central directory after ${members.size} arrays: fetch the bundle again`);
  }
  const names = [...members.keys()].map((member) => member.replace(/\.npy$/, ""));
  const dimensions = { ...optional, ...expected };
  const known = [...members.keys()].every((member, i) => member === `${names[i]}.npy` && Object.hasOwn(dimensions, names[i]));
  if (!known || !Object.keys(expected).every((array) => names.includes(array))) {
    throw new BundleError(
      `${name} holds ${[...members.keys()].sort().join(", ")}: expected ${Object.keys(expected).sort().join(", ")}: ` +
        "export the bundle again",
    );
  }
  const bodies = [...members.values()];
  return new Map(names.map((array, i) => [array, finite(parse(bodies[i], `${array}.npy in ${name}`), array, name, dimensions)]));
}

function finite(values: Numbers, array: string, name: string, dimensions: Dimensions): Numbers {
  if (values.shape.length !== dimensions[array] || !values.data.every((value) => Number.isFinite(value))) {
    throw new BundleError(
      `${array} in ${name} has shape (${values.shape.join(", ")}): expected ${dimensions[array]} dimensions of finite ` +
        "numbers: export the bundle again",
    );
  }
  return values;
}

/** Bodies by name in order, and where the central directory begins. */
function membersOf(data: Bytes, name: string): [Map<string, Bytes>, number] {
  const members = new Map<string, Bytes>();
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let start = 0;
  while (members.size < MOST && start + LOCAL <= data.length && view.getUint32(start, true) === 0x04034b50) {
    const body = start + LOCAL + view.getUint16(start + 26, true);
    const stop = body + view.getUint32(start + 22, true);
    const member = ascii(data.subarray(start + LOCAL, body));
    const content = data.subarray(body, stop);
    if (members.has(member) || !equal(data.subarray(start, body), local(member, content))) {
      throw new BundleError(`${name} has a wrong header at byte ${start}: fetch the bundle again`);
    }
    members.set(member, content);
    start = stop;
  }
  return [members, start];
}

/** Little-endian fields of 2 or 4 bytes: PKWARE's APPNOTE 4.3.7, 4.3.12 and 4.3.16. */
function fields(layout: readonly (readonly [number, number])[], name = ""): Bytes {
  const data = new Uint8Array(layout.reduce((sum, [size]) => sum + size, 0) + name.length);
  let at = 0;
  for (const [size, value] of layout) {
    for (let i = 0; i < size; i++) data[at++] = Math.floor(value / 256 ** i) & 0xff;
  }
  for (let i = 0; i < name.length; i++) data[at++] = name.charCodeAt(i);
  return data;
}

function local(name: string, body: Bytes): Bytes {
  const facts = [[4, crc32(body)], [4, body.length], [4, body.length], [2, name.length], [2, 0]] as const;
  return fields([[4, 0x04034b50], [2, 20], [2, 0], [2, 0], [2, 0], [2, DATE], ...facts], name);
}

function directory(members: ReadonlyMap<string, Bytes>): Bytes {
  const entries: Bytes[] = [];
  let start = 0;
  for (const [name, body] of members) {
    const facts = [[4, crc32(body)], [4, body.length], [4, body.length], [2, name.length]] as const;
    const place = [[2, 0], [2, 0], [2, 0], [2, 0], [4, 0o600 * 65536], [4, start]] as const;
    const version = [[1, 20], [1, 3], [2, 20], [2, 0], [2, 0], [2, 0], [2, DATE]] as const;
    entries.push(fields([[4, 0x02014b50], ...version, ...facts, ...place], name));
    start += LOCAL + name.length + body.length;
  }
  const size = entries.reduce((sum, entry) => sum + entry.length, 0);
  const counts = [[2, members.size], [2, members.size]] as const;
  entries.push(fields([[4, 0x06054b50], [2, 0], [2, 0], ...counts, [4, size], [4, start], [2, 0]]));
  return joined(entries);
}

export function joined(parts: readonly Uint8Array[]): Bytes {
  const data = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/** One .npy; the header's shape must account for every byte. */
export function parse(data: Uint8Array, name: string): Numbers {
  const length = data.length < 10 ? 0 : data[8] + 256 * data[9];
  const body = data.slice(10 + length);
  const found = ascii(data.subarray(0, 8)) === "\x93NUMPY\x01\x00" ? HEADER.exec(ascii(data.subarray(10, 10 + length))) : null;
  const shape = (found?.[2] ?? "").split(",").map((part) => part.trim()).filter((part) => part !== "").map(Number);
  const size = shape.reduce((product, axis) => product * axis, 1) * (found?.[1] === "<f4" ? 4 : 8);
  if (found === null || size !== body.length) {
    throw new BundleError(
      `${name} has a wrong .npy header (${found === null ? "not version 1.0" : `it declares ${found[1]} over ${body.length} bytes`}): ` +
        "expected float32, float64 or int64 numbers that fill it exactly: export the bundle again",
    );
  }
  if (found[1] === "<f4") return { shape, data: new Float32Array(body.buffer) };
  if (found[1] === "<f8") return { shape, data: new Float64Array(body.buffer) };
  return { shape, data: Float64Array.from(new BigInt64Array(body.buffer), Number) };
}
