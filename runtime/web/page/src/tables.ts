/** Tables that people bring (.csv, .npy) and take away (.csv). */

import { ascii } from "../../src/bundle/bytes.js";
import { InputError, Rows } from "../../src/exports.js";

const HEADER = /^\{'descr': '([<|>][fiu]\d)', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n$/;

/** Rows of a .npy of two dimensions; `InputError` for other widths and kinds of numbers. */
export function readNpy(data: Uint8Array<ArrayBuffer>, width: number, name: string): Rows {
  const [length, start] = data[6] === 1 ? [data[8] + 256 * data[9], 10] : [0, 10];
  const found = HEADER.exec(ascii(data.subarray(start, start + length)));
  const kinds = { "<f4": Float32Array, "<f8": Float64Array, "<i4": Int32Array, "|u1": Uint8Array } as const;
  const Kind = found && kinds[found[1] as keyof typeof kinds];
  if (!found || !Kind) {
    throw new InputError(`${name} is no .npy of float32, float64, int32 or uint8 numbers [N, ${width}]: save it as float32`);
  }
  if (Number(found[3]) !== width) {
    throw new InputError(`${name} has ${found[3]} columns: this bundle takes ${width}: pass the features of its model`);
  }
  const body = data.slice(start + length);
  if (body.length !== Number(found[2]) * width * Kind.BYTES_PER_ELEMENT) {
    throw new InputError(`${name} has ${body.length} bytes of numbers, not what its header declares: save it again`);
  }
  return new Rows(Float32Array.from(new Kind(body.buffer)), width);
}

/** The features of a model, and the columns that may stand `beside` them. */
interface Wanted {
  readonly width: number;
  readonly columns: readonly string[] | null;
  readonly beside: readonly string[];
}

/**
 * Rows of a .csv with or without a line of names; columns are matched by name where the bundle has names.
 *
 * `held` are the columns `beside` the features that the file has, by name.
 */
export function readCsv(text: string, { width, columns, beside }: Wanted, name: string): { rows: Rows; held: Record<string, string[]> } {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  const cells = lines.map((line) => line.split(",").map((cell) => cell.trim().replace(/^"(.*)"$/, "$1")));
  const names = cells.length && cells[0].some((cell) => cell === "" || Number.isNaN(Number(cell))) ? cells.shift()! : null;
  const found = beside.filter((column) => names?.includes(column));
  const held = Object.fromEntries(found.map((column) => [column, cells.map((row) => row[names!.indexOf(column)])]));
  const others = (names ?? cells[0] ?? []).flatMap((column, j) => (names && found.includes(column) ? [] : [j]));
  const places = columns && names ? columns.map((column) => names.indexOf(column)) : others.slice(0, width);
  const lost = places.indexOf(-1);
  if (lost >= 0) throw new InputError(`${name} has no column ${columns![lost]}: expected the columns of the model: add it`);
  const rows = Rows.empty(cells.length, width);
  cells.forEach((row, i) => {
    const count = row.length - found.length;
    if (!(columns && names) && count !== width) {
      throw new InputError(`${name} has ${count} columns in row ${i}: this bundle takes ${width}: pass its features`);
    }
    places.forEach((place, j) => {
      const value = row[place] === undefined || row[place] === "" ? NaN : Number(row[place]);
      if (Number.isNaN(value) && !["", "nan", "NaN", undefined].includes(row[place])) {
        throw new InputError(`${name} has "${row[place]}" at row ${i}, column ${place}: expected a number: correct it`);
      }
      rows.data[i * width + j] = value;
    });
  });
  return { rows, held };
}

/** Columns of numbers as .csv. */
export function toCsv(names: readonly string[], rows: Iterable<ArrayLike<number>>): string {
  const quoted = names.map((name) => (/[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name));
  return [quoted.join(","), ...Array.from(rows, (row) => Array.from(row, String).join(","))].join("\n") + "\n";
}

/** Offer a text as a file. */
export function download(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Names of features: the bundle's, or numbers. */
export function featureNames(width: number, columns: readonly string[] | null): string[] {
  return columns ? [...columns] : Array.from({ length: width }, (_, j) => String(j));
}
