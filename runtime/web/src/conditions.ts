/** Conditions of rows as numbers c [N, C]: categories one-hot, numbers standardised. */

import type { Condition } from "./bundle/manifest.js";
import { InputError } from "./errors.js";
import { asRows, Rows } from "./rows.js";
import type { Table } from "./rows.js";
import { listed, shown } from "./text.js";

export type ConditionValue = string | number | bigint | boolean | null | undefined;
/** Values by name, each one for all rows or one for each row; or c itself, [N, C] or one row for all. */
export type ConditionLike = Readonly<Record<string, ConditionValue | ArrayLike<ConditionValue>>> | Table;

const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

/** Numbers of c that a condition takes. */
export function widthOf({ categories }: Condition): number {
  return Math.max(categories.length, 1);
}

/** The name of a category: whole numbers without a decimal point, text as it is; "" for a missing value. */
export function categoryOf(value: ConditionValue): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "number" && Number.isInteger(value)) return String(BigInt(value));
  return typeof value === "boolean" ? shown(value) : String(value).trim();
}

/** The conditions of a model, in their order in c. */
export class Conditions {
  readonly specs: readonly Condition[];
  readonly names: readonly string[];
  readonly width: number;

  constructor(specs: readonly Condition[]) {
    this.specs = specs;
    this.names = specs.map((spec) => spec.name);
    this.width = specs.reduce((sum, spec) => sum + widthOf(spec), 0);
  }

  /** Names with their categories, for messages. */
  toString(): string {
    return this.specs.map(({ name, categories }) => `${name} (${categories.length ? listed(categories) : "a number"})`).join("; ");
  }

  /** c [rows, C]; `InputError` for a condition that is missing, unknown, of another number of rows or no known category. */
  ofRows(condition: ConditionLike | null | undefined, rows: number): Rows {
    if (condition instanceof Rows || Array.isArray(condition)) return this.numbersOf(condition, rows);
    const held = this.named(condition);
    const absent = this.names.filter((name) => !held.has(name));
    if (absent.length) {
      const example = this.specs.map(({ name, categories, mean }) => [name, categories[0] ?? Number(mean.toFixed(2))]);
      throw new InputError(
        `the condition ${listed(absent)} is missing: this bundle takes ${String(this)}: pass {condition: ` +
          `${JSON.stringify(Object.fromEntries(example))}}`,
      );
    }
    const parts = this.specs.map((spec) => encoded(spec, held.get(spec.name), rows));
    const c = Rows.empty(rows, this.width);
    for (let i = 0; i < rows; i++) {
      let at = i * this.width;
      for (const { width, data, length } of parts) {
        const row = length === 1 ? 0 : i;
        c.data.set(data.subarray(row * width, (row + 1) * width), at);
        at += width;
      }
    }
    return c;
  }

  /** The values by name of one row of c. */
  valuesOf(c: ArrayLike<number>): Record<string, string | number> {
    let start = 0;
    const entries = this.specs.map((spec): [string, string | number] => {
      const from = start;
      start += widthOf(spec);
      if (!spec.categories.length) return [spec.name, c[from] * spec.scale + spec.mean];
      const hot = spec.categories.reduce((most, _, k) => (c[from + k] > c[from + most] ? k : most), 0);
      return [spec.name, spec.categories[hot]];
    });
    return Object.fromEntries(entries);
  }

  /** c itself, [rows, C] or one row for all. */
  private numbersOf(given: Table, rows: number): Rows {
    const width = given instanceof Rows ? given.width : given[0]?.length;
    if ((given.length > 0 && width !== this.width) || ![1, rows].includes(given.length)) {
      throw new InputError(
        `condition is an array of shape (${given.length}, ${width ?? 0}): expected c [${rows}, ${this.width}], or values by ` +
          `name: ${String(this)}`,
      );
    }
    const c = asRows(given, this.width, "c");
    return c.length === rows ? c : new Rows(Float32Array.from({ length: rows * this.width }, (_, at) => c.data[at % this.width]), this.width);
  }

  private named(condition: unknown): Map<string, ConditionValue | ArrayLike<ConditionValue>> {
    if (condition === undefined || condition === null) return new Map();
    if (typeof condition !== "object") {
      const example = JSON.stringify({ [this.names[0]]: condition });
      throw new InputError(`condition is ${shown(condition)}: expected values by name: pass {condition: ${example}}`);
    }
    const given = new Map(Object.entries(condition as Record<string, ConditionValue | ArrayLike<ConditionValue>>));
    const unknown = [...given.keys()].filter((name) => !this.names.includes(name));
    if (unknown.length) throw new InputError(`condition has ${listed(unknown)}: expected ${String(this)}: leave out the others`);
    return given;
  }
}

/** One condition's part of c: [rows, width], or one row that stands for all. */
function encoded(spec: Condition, given: ConditionValue | ArrayLike<ConditionValue>, rows: number): Rows {
  const one = typeof given !== "object" || given === null;
  const values = one ? [given] : Array.from(given);
  if (!one && values.length !== rows) {
    throw new InputError(
      `condition ${spec.name} has ${values.length} values for ${rows} rows: expected one, or one for each row`,
    );
  }
  const place = (row: number): string => (one ? "" : ` in row ${row}`);
  return spec.categories.length ? oneHot(spec, values, place) : standardised(spec, values, place);
}

function oneHot({ name, categories }: Condition, values: readonly ConditionValue[], place: (row: number) => string): Rows {
  const places = new Map(categories.map((category, k) => [category, k]));
  const c = Rows.empty(values.length, categories.length);
  values.forEach((value, row) => {
    const code = places.get(categoryOf(value));
    if (code === undefined) {
      throw new InputError(
        `condition ${name} is ${shown(value).slice(0, 100)}${place(row)}: expected one of ${listed(categories)}: pass a category that the ` +
          "model was trained on",
      );
    }
    c.data[row * c.width + code] = 1;
  });
  return c;
}

function standardised({ name, mean, scale }: Condition, values: readonly ConditionValue[], place: (row: number) => string): Rows {
  const numbers = values.map((value, row) => {
    const text = typeof value === "string" && NUMBER.test(value);
    const number = text || typeof value === "number" || typeof value === "bigint" || typeof value === "boolean" ? Number(value) : NaN;
    const c = (number - mean) / scale;
    if (Number.isFinite(Math.fround(c))) return c;
    throw new InputError(
      `condition ${name} is ${shown(value).slice(0, 100)}${place(row)}: expected a finite number in the range of ` +
        "float32: drop or repair such rows",
    );
  });
  return new Rows(Float32Array.from(numbers), 1);
}
