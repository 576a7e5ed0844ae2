/** Rows of a .npy. */

import { ascii } from "../../src/bundle/bytes.js";
import { InputError, Rows } from "../../src/exports.js";
import { MOST_ROWS } from "./csv.js";

const HEADER = /^\{'descr': '([<>|=]?)([fiu])([1248])', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n$/;
const KINDS = {
  f4: Float32Array,
  f8: Float64Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
} as const;

/** Whether a file begins as a .npy. */
export function isNpy(data: Uint8Array): boolean {
  return ascii(data.subarray(1, 6)) === "NUMPY" && data[0] === 0x93;
}

/** Rows of a .npy of two dimensions; `InputError` for other widths and kinds of numbers. */
export function readNpy(data: Uint8Array<ArrayBuffer>, width: number, name: string): Rows {
  const start = data[6] === 1 ? 10 : 12;
  const length = data[8] + 256 * data[9] + (start === 12 ? 65536 * (data[10] + 256 * data[11]) : 0);
  const found = isNpy(data) ? HEADER.exec(ascii(data.subarray(start, start + Math.min(length, 65536)))) : null;
  const Kind = found && KINDS[`${found[2]}${found[3]}` as keyof typeof KINDS];
  if (!found || !Kind) {
    throw new InputError(`${name} is no .npy of integers or of float32 or float64 numbers [N, ${width}]: save it as float32`);
  }
  const shape = found[5].split(",").filter((part) => part.trim()).map(Number);
  if (shape.length !== 2) {
    const written = `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
    throw new InputError(`${name} has shape ${written}: expected two dimensions [N, ${width}]: save rows of features`);
  }
  if (shape[1] !== width) throw new InputError(`${name} has ${shape[1]} columns: this bundle takes ${width}: pass the features of its model`);
  if (shape[0] > MOST_ROWS) throw new InputError(`${name} has over ${MOST_ROWS.toLocaleString("en")} rows: the explorer shows as many at most: take a part`);
  const body = data.slice(start + length);
  const size = Kind.BYTES_PER_ELEMENT;
  if (body.length !== shape[0] * width * size) {
    throw new InputError(`${name} has ${body.length} bytes of numbers: its header declares ${shape[0] * width * size}: save it again`);
  }
  if (found[1] === ">") for (let at = 0; at < body.length; at += size) body.subarray(at, at + size).reverse();
  const values = Float32Array.from(new Kind(body.buffer) as ArrayLike<number | bigint>, Number);
  if (found[4] === "False") return new Rows(values, width);
  return new Rows(values.map((_, at) => values[(at % width) * shape[0] + Math.floor(at / width)]), width);
}
