/** Rows of float32 numbers, checked input, and products in float64. */

import { InputError } from "./errors.js";
import { general, plain, shown } from "./text.js";

export const BLOCK = 64; // rows of noise that share one counter of the generator

/** `length` rows of `width` float32 numbers, one after another in `data`. */
export class Rows {
  readonly data: Float32Array;
  readonly width: number;

  constructor(data: Float32Array, width: number) {
    this.data = data;
    this.width = width;
  }

  static empty(rows: number, width: number): Rows {
    return new Rows(new Float32Array(rows * width), width);
  }

  get length(): number {
    return this.width ? this.data.length / this.width : 0;
  }

  /** Row `i`, a view. */
  row(i: number): Float32Array {
    return this.data.subarray(i * this.width, (i + 1) * this.width);
  }

  /** Rows `start` to `stop`, a view. */
  slice(start: number, stop: number): Rows {
    return new Rows(this.data.subarray(start * this.width, stop * this.width), this.width);
  }
}

/** Rows as this package takes them: `Rows`, or an array of rows. */
export type Table = Rows | ReadonlyArray<ArrayLike<number>>;

/** Names of columns, null or undefined for columns that are called by their positions. */
export type Names = readonly string[] | null | undefined;

/** `x` as finite float32 rows of `width` numbers; `InputError` for anything else, with the names of `columns`. */
export function asRows(x: Table, width: number, name = "x", columns?: Names): Rows {
  const rows = x instanceof Rows ? x : copied(x, width, name);
  if (rows.width !== width || !Number.isInteger(rows.length)) throw otherWidth(rows.width, width, name);
  const at = notFinite(rows.data);
  if (at >= 0) {
    const row = Math.floor(at / width);
    const given = x instanceof Rows ? rows.data[at] : x[row][at % width];
    throw new InputError(
      `${name} has ${plain(given)} at row ${row}, column ${columns?.[at % width] ?? at % width}: expected finite float32 numbers: ` +
        "drop the row or fill in the value",
    );
  }
  return rows;
}

function copied(x: ReadonlyArray<ArrayLike<number>>, width: number, name: string): Rows {
  if (!Array.isArray(x)) {
    throw new InputError(`${name} is a ${typeof x}: expected numbers [N, ${width}]: pass rows or an array of rows`);
  }
  if (x.length && x.every((row) => typeof row === "number")) {
    throw new InputError(`${name} has shape (${x.length},): expected two dimensions [N, ${width}]: for one row pass [${name}]`);
  }
  const several = x.some((row) => typeof row?.length === "number" && row.length !== x[0]?.length);
  if (several) throw new InputError(`${name} is a list of rows of several lengths: expected as many numbers in each`);
  const rows = Rows.empty(x.length, width);
  x.forEach((row: ArrayLike<number>, i) => {
    if (typeof row !== "object" || row === null || typeof row.length !== "number") {
      throw new InputError(
        `${name} has ${shown(row)} as row ${i}: expected an array of ${width} numbers: pass rows or an array of rows`,
      );
    }
    if (row.length !== width) throw otherWidth(row.length, width, name);
    for (let j = 0; j < width; j++) {
      const value: unknown = row[j];
      if (typeof value !== "number") {
        throw new InputError(`${name} has ${shown(value)} at row ${i}, column ${j}: expected numbers: convert it to float32`);
      }
      rows.data[i * width + j] = value;
    }
  });
  return rows;
}

/** The place of the first value that is not finite, or not below a limit; -1 if all are. */
function notFinite(values: Float32Array, limit = Infinity): number {
  for (let at = 0; at < values.length; at++) if (!(Math.abs(values[at]) < limit)) return at;
  return -1;
}

/** A row of finite numbers for which the model's results are not finite. */
class RowError extends InputError {
  constructor(
    readonly table: string,
    readonly row: number,
    readonly value: string,
  ) {
    super(`${table} row ${row} is too large for the model, whose results are not finite${value}: drop the row or clip its values`);
  }
}

/** The result of `work`; a `RowError` of it counts rows from `first`, `share` computed ones for each of the table `name`. */
export async function numbered<Result>(work: () => Promise<Result>, first = 0, name = "x", share = 1): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RowError)) throw error;
    const value = error.table === "x" ? error.value : ""; // that of a latent is no value of the table
    throw new RowError(name, first + Math.floor(error.row / share), value);
  }
}

const LARGEST = 2 ** 127; // half of what float32 holds

function otherWidth(found: number, width: number, name: string): InputError {
  return new InputError(
    `${name} has ${found} columns: this bundle takes ${width}: pass the features (or latents) of its model`,
  );
}

/** `InputError` if a result of finite `rows` is not finite or nearly so, as in Python; `first` is the number of row 0. */
export function refuseOverflow(name: string, rows: Rows, first: number, results: readonly Rows[], columns?: Names): void {
  for (const result of results) {
    const at = notFinite(result.data, LARGEST);
    if (at < 0) continue;
    const row = Math.floor(at / result.width);
    const values = rows.row(row);
    let column = 0;
    for (let j = 1; j < values.length; j++) if (Math.abs(values[j]) > Math.abs(values[column])) column = j;
    throw new RowError(name, first + row, `: the value in column ${columns?.[column] ?? column} is ${general(values[column])}`);
  }
}

/** `value` as an integer from 1 up; `InputError`. */
export function asCount(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InputError(`${name} is ${shown(value)}: expected an integer from 1 up`);
  }
  return value;
}

/** `a` [N, K] times `b` [K, M] in float64: [N, M]. */
export function product(a: Float64Array, b: Float64Array, inner: number, columns: number): Float64Array {
  const rows = a.length / inner;
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k];
      for (let j = 0; j < columns; j++) result[i * columns + j] += factor * b[k * columns + j];
    }
  }
  return result;
}

/** The transpose of `matrix` [rows, columns]. */
export function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j];
  return result;
}
