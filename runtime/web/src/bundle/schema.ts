/** Checks of JSON against a schema, with the words of msgspec, which the Python runtime uses. */

import type { Json } from "./json.js";

/** Returns the value of a field, or throws `SchemaError`; `path` says where it is. */
export type Check<T> = (value: Json, path: string) => T;

export class SchemaError extends Error {}

export function fail(words: string, path: string): never {
  throw new SchemaError(path === "$" ? words : `${words} - at \`${path}\``);
}

function kind(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (value instanceof Map) return "object";
  if (typeof value === "string") return "str";
  if (typeof value === "boolean") return "bool";
  return Number.isInteger(value) ? "int" : "float";
}

export function int(least: number, most: number): Check<number> {
  return (value, path) => {
    if (kind(value) !== "int") fail(`Expected \`int\`, got \`${kind(value)}\``, path);
    if ((value as number) < least) fail(`Expected \`int\` >= ${least}`, path);
    return (value as number) > most ? fail(`Expected \`int\` <= ${most}`, path) : (value as number);
  };
}

export function float(least = -Infinity, above = false): Check<number> {
  return (value, path) => {
    if (typeof value !== "number") return fail(`Expected \`float\`, got \`${kind(value)}\``, path);
    if (value < least || (above && value === least)) fail(`Expected \`float\` ${above ? ">" : ">="} ${least.toFixed(1)}`, path);
    return value;
  };
}

export const bool: Check<boolean> = (value, path) =>
  typeof value === "boolean" ? value : fail(`Expected \`bool\`, got \`${kind(value)}\``, path);

export function text(most: number, pattern?: RegExp): Check<string> {
  return (value, path) => {
    if (typeof value !== "string") return fail(`Expected \`str\`, got \`${kind(value)}\``, path);
    if ([...value].length > most) fail(`Expected \`str\` of length <= ${most}`, path);
    if (pattern && !pattern.test(value)) fail(`Expected \`str\` matching regex '${pattern.source}'`, path);
    return value;
  };
}

export function oneOf<T extends string>(...values: readonly T[]): Check<T> {
  return (value, path) => {
    if (typeof value !== "string") fail(`Expected \`str\`, got \`${kind(value)}\``, path);
    return values.includes(value as T) ? (value as T) : fail(`Invalid enum value '${String(value)}'`, path);
  };
}

export function list<T>(item: Check<T>): Check<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) return fail(`Expected \`array\`, got \`${kind(value)}\``, path);
    return value.map((entry, i) => item(entry, `${path}[${i}]`));
  };
}

export function pair<A, B>(first: Check<A>, second: Check<B>): Check<readonly [A, B]> {
  return (value, path) => {
    if (!Array.isArray(value)) return fail(`Expected \`array\`, got \`${kind(value)}\``, path);
    if (value.length !== 2) fail(`Expected \`array\` of length 2, got ${value.length}`, path);
    return [first(value[0], `${path}[0]`), second(value[1], `${path}[1]`)];
  };
}

export function named<T>(item: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value, path) => {
    if (!(value instanceof Map)) return fail(`Expected \`object\`, got \`${kind(value)}\``, path);
    return Object.fromEntries([...value].map(([key, entry]) => [key, item(entry, `${path}[...]`)]));
  };
}

export function orNull<T>(item: Check<T>): Check<T | null> {
  return (value, path) => (value === null ? null : item(value, path));
}

/** A field that may be missing, and then has this value. */
export interface Optional<T> {
  readonly check: Check<T>;
  readonly missing: T;
}

export function optional<T>(check: Check<T>, missing: T): Optional<T> {
  return { check, missing };
}

type Fields = Readonly<Record<string, Check<unknown> | Optional<unknown>>>;
export type Checked<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Check<infer T> ? T : F[K] extends Optional<infer T> ? T : never;
};

/** An object of exactly these fields. */
export function object<F extends Fields>(fields: F): Check<Checked<F>> {
  return (value, path) => {
    if (!(value instanceof Map)) return fail(`Expected \`object\`, got \`${kind(value)}\``, path);
    for (const key of value.keys()) {
      if (!Object.hasOwn(fields, key)) fail(`Object contains unknown field \`${key}\``, path);
    }
    const entries = Object.entries(fields).map(([key, field]) => {
      const check = typeof field === "function" ? field : field.check;
      const given = value.get(key);
      if (given !== undefined) return [key, check(given, `${path}.${key}`)];
      return typeof field === "function" ? fail(`Object missing required field \`${key}\``, path) : [key, field.missing];
    });
    return Object.fromEntries(entries as [string, unknown][]) as Checked<F>;
  };
}
