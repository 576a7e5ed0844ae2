/** Rows of a .csv by the rules of the Python package (`aaptvae.files`); where a file is ambiguous, nothing is guessed. */

import { InputError, Rows } from "../../src/exports.js";
import { listed, shown } from "../../src/text.js";

/** The features of a model, and the columns that may stand `beside` them. */
export interface Wanted {
  readonly width: number;
  readonly columns: readonly string[] | null;
  readonly beside: readonly string[];
}

/** Rows of a file. */
export interface Read {
  readonly rows: Rows;
  /** The columns beside the features that the file has, by name. */
  readonly held: Readonly<Record<string, readonly string[]>>;
  /** How the file was read, where its content decided it. */
  readonly notes: readonly string[];
}

export const MOST_ROWS = 200_000;
const MISSING = new Set(["", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "null", "NULL", "None", "nan", "NaN", "NAN"]);
const INFINITE = /^[+-]?inf(inity)?$/i;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const DELIMITERS: Readonly<Record<string, string>> = { ";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars" };
const FIRST = 20; // lines by which a file is understood
const FEWEST = 5; // rows that show the range of a column
const SEP = /^"?sep=([;,|]|\t?)"?$/i; // the first line that Excel writes

const isNumber = (field: string): boolean => NUMBER.test(field) || INFINITE.test(field) || /^[+-]?nan$/i.test(field);
const isName = (field: string): boolean => !MISSING.has(field) && !isNumber(field) && /[\p{L}\p{N}]/u.test(field);
const isWhole = (field: string): boolean => /^[+-]?\d+$/.test(field);

/** The text of a file in UTF-8, without a byte-order mark. */
function textOf(data: Uint8Array, name: string): string {
  const mark = `${data[0]},${data[1]}`;
  if (mark === "255,254" || mark === "254,255") throw new InputError(`${name} is UTF-16: expected UTF-8: save it as UTF-8 text`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    if (!text.includes("\0")) return text;
  } catch {
    // said below
  }
  throw new InputError(`${name} holds bytes that are not text in UTF-8: expected a .csv or a .npy: save it as UTF-8 text`);
}

/** The delimiter of lines; a mark that is as often in the second line goes before the others. */
function sniffed(lines: readonly string[]): string {
  const [above, below] = lines.slice(0, 2).map((line) => line.replace(/"[^"]*"/g, ""));
  const count = (line: string, mark: string): number => line.split(mark).length;
  const found = Object.keys(DELIMITERS).filter((mark) => above?.includes(mark));
  return found.find((mark) => below !== undefined && count(above, mark) === count(below, mark)) ?? found[0] ?? ",";
}

/** The fields of a line, without quotes and outer spaces. */
function fieldsOf(line: string, delimiter: string): string[] {
  if (!line.includes('"')) return line.split(delimiter).map((field) => field.trim());
  const fields: string[] = [];
  const pattern = delimiter === "|" ? "\\|" : delimiter;
  const each = new RegExp(`\\s*(?:"((?:[^"]|"")*)"|([^${pattern}]*))[^${pattern}]*(${pattern}|$)`, "y");
  for (let found = each.exec(line); found; found = each.exec(line)) {
    fields.push((found[1]?.replaceAll('""', '"') ?? found[2]).trim());
    if (found[3] === "") break;
  }
  return fields;
}

function countsUp(fields: readonly string[]): boolean {
  return [0, 1].some((begin) => fields.every((field, i) => field === String(i + begin)));
}

function inSteps(fields: readonly string[]): boolean {
  const steps = fields.slice(1).map((field, i) => Number(field) - Number(fields[i]));
  return steps.length > 0 && steps[0] > 0 && steps.every((step) => Math.abs(step - steps[0]) <= 1e-3 * steps[0]);
}

/** Whether each of several numbers is farther from the values of its column than these from each other. */
function farOut(names: readonly string[], rows: readonly (readonly string[])[]): boolean {
  if (names.length < 2 || rows.length < FEWEST) return false;
  return names.every((name, j) => {
    const values = rows.map((row) => row[j] ?? "").filter((field) => NUMBER.test(field)).map(Number);
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
    return Math.max(low - Number(name), Number(name) - high) > high - low;
  });
}

/** Whether the first line holds names; undefined where numbers may be either. */
function hasHeader(rows: readonly (readonly string[])[], columns: readonly string[] | null): boolean | undefined {
  const [above, below] = rows;
  if (columns?.every((column) => above.includes(column))) return true;
  if (!above.some(isNumber)) return above.some(isName);
  if (below === undefined) return false;
  if (above[0] === "" && countsUp(above.slice(1))) return true; // an index, and columns that pandas numbered
  if (above.some((field, j) => isName(field) && isNumber(below[j] ?? ""))) {
    const numbers = above.filter(isNumber);
    return countsUp(numbers) || (numbers.length > 2 && inSteps(numbers)) ? true : undefined;
  }
  const kept = above.flatMap((field, j) => (isNumber(field) && isNumber(below[j] ?? "") ? [j] : []));
  const [names, values, ...others] = rows.map((row) => kept.map((j) => row[j]));
  if (countsUp(names) && !values.some(isWhole)) return names.length > 2 ? true : undefined;
  if (farOut(names, others)) return undefined;
  if (names.length < 3 || inSteps(values)) return false;
  const rise = (fields: readonly string[]): boolean => fields.slice(1).every((field, i) => Number(field) > Number(fields[i]));
  if (inSteps(names) || (names.length > 4 && rise(names) && !rise(values))) return undefined;
  return names.every(isWhole) && new Set(names).size === names.length && !values.some(isWhole) ? undefined : false;
}

/** Whether numbers have a decimal comma; `InputError` if their commas may separate thousands. */
function decimalComma(rows: readonly (readonly string[])[], name: string): boolean {
  const fields = rows.flat();
  const commas = fields.filter((field) => /^[+-]?\d*,\d+(e[+-]?\d+)?$/i.test(field));
  if (!commas.length || fields.some((field) => /^[+-]?\d*\.\d+(e[+-]?\d+)?$/i.test(field))) return false;
  if (!commas.every((field) => /^[+-]?[1-9]\d{0,2},\d{3}$/.test(field))) return true;
  throw new InputError(`${name} may have decimal commas or commas between thousands: ${shown(commas[0])}: write numbers without commas`);
}

/** Positions of the features, and of the columns beside them. */
function placesOf(names: readonly string[] | null, count: number, { width, columns, beside }: Wanted, name: string): { places: number[]; left: string[] } {
  const twice = names?.filter((column, j) => names.indexOf(column) !== j) ?? [];
  if (twice.length) throw new InputError(`${name} has columns of equal name (${listed(twice)}): expected each once: rename or drop them`);
  const others = Array.from({ length: count }, (_, j) => j).filter((j) => !(names && beside.includes(names[j])));
  if (columns && names) {
    const missing = columns.filter((column) => !names.includes(column));
    const unknown = others.map((j) => names[j]).filter((column) => !columns.includes(column));
    if (!missing.length) return { places: columns.map((column) => names.indexOf(column)), left: unknown };
    const lacks = missing.length === 1 ? "the column" : `${missing.length} columns:`;
    const also = unknown.length ? ` (and has others: ${listed(unknown)})` : "";
    throw new InputError(`${name} lacks ${lacks} ${listed(missing)}${also}: expected ${listed(columns)}: pass the columns that the model was trained on`);
  }
  if (names?.[0] === "" && others.length === width + 1) {
    throw new InputError(`${name} has a first column without a name, as an index of pandas or R: expected features: save it without`);
  }
  if (others.length !== width) {
    throw new InputError(`${name} has ${others.length} columns: this bundle takes ${width}: pass the features of its model`);
  }
  const called = others.map((j) => names?.[j] ?? "");
  const prefix = ["", "x"].find((each) => others.every((_, k) => called.includes(`${each}${k}`)));
  return { places: prefix === undefined ? others : others.map((_, k) => others[called.indexOf(`${prefix}${k}`)]), left: [] };
}

/** A field as a number, NaN for a missing value; undefined if it is neither. */
function numberOf(field: string, comma: boolean): number | undefined {
  const value = Number(comma && !field.includes(".") ? field.replace(",", ".") : field);
  if (!Number.isNaN(value) && field !== "" && !/^[+-]?0[xob]/i.test(field) && !(comma && field.includes("."))) return value;
  if (MISSING.has(field)) return NaN;
  return INFINITE.test(field) ? (field.startsWith("-") ? -Infinity : Infinity) : undefined;
}

/** Rows of a .csv with or without a line of names; columns are matched by name where the bundle has names. */
export function readCsv(data: Uint8Array, wanted: Wanted, name: string): Read {
  const lines = textOf(data, name).split(/\r\n|\n|\r/).flatMap((line, at) => (line.trim() ? [{ line, at: at + 1 }] : []));
  while (lines[0]?.line.startsWith("#")) lines.shift();
  if (!lines.length) throw new InputError(`${name} has no rows: expected one or more`);
  const named = lines.length > 1 ? SEP.exec(lines[0].line) : null;
  if (named) lines.shift();
  const delimiter = named ? named[1] || "\t" : sniffed(lines.slice(0, 2).map(({ line }) => line));
  const first = lines.slice(0, FIRST).map(({ line }) => fieldsOf(line, delimiter));
  const comma = delimiter !== "," && decimalComma(first, name);
  const pointed = comma ? first.map((row) => row.map((field) => field.replace(",", "."))) : first;
  const header = hasHeader(pointed, wanted.columns);
  if (header === undefined) {
    throw new InputError(
      `${name} line ${lines[0].at} may be a header of numbers or a row: ${shown(lines[0].line.slice(0, 60))}: begin names with a letter, or leave them out`,
    );
  }
  const names = header ? first[0] : null;
  const body = header ? lines.slice(1) : lines;
  if (!body.length) throw new InputError(`${name} has no rows: expected one or more`);
  if (body.length > MOST_ROWS) throw new InputError(`${name} has over ${MOST_ROWS.toLocaleString("en")} rows: the explorer shows as many at most: take a part`);
  const { places, left } = placesOf(names, first[0].length, wanted, name);
  const held = wanted.beside.filter((column) => names?.includes(column)).map((column) => [column, names!.indexOf(column), [] as string[]] as const);
  const rows = Rows.empty(body.length, wanted.width);
  body.forEach(({ line, at }, i) => {
    const fields = fieldsOf(line, delimiter);
    if (fields.length !== first[0].length) throw new InputError(`${name} line ${at} has ${fields.length} values: expected ${first[0].length}`);
    places.forEach((place, j) => {
      const value = numberOf(fields[place], comma);
      if (value === undefined) {
        const called = names?.[place] ?? place;
        throw new InputError(
          `${name} line ${at} has ${shown(fields[place].slice(0, 60))} in column ${called}: expected a number, or nothing for a missing value`,
        );
      }
      rows.data[i * wanted.width + j] = value;
    });
    for (const [, place, values] of held) values.push(fields[place]);
  });
  const said = [...(delimiter === "," ? [] : [`${DELIMITERS[delimiter]} between values`]), ...(comma ? ["a decimal comma"] : [])];
  const notes = said.length ? [`It is read with ${said.join(" and ")}.`] : [];
  if (left.length) notes.push(`Left out, as the model does not know them: ${listed(left)}.`);
  return { rows, held: Object.fromEntries(held.map(([column, , values]) => [column, values])), notes };
}
