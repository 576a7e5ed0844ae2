/** Calls that Python refuses are refused here in the same sentences. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";

import { load } from "../src/node.js";
import type { VAE } from "../src/node.js";
import { filesOf, ROOT } from "./bundles.js";

interface Refusal {
  readonly bundle: string;
  readonly folder: string;
  readonly method: string;
  readonly arguments: readonly unknown[];
  readonly options: object;
  readonly words: string;
}

const refusals = JSON.parse(readFileSync(join(ROOT, "runtime/web/test/refusals.json"), "utf-8")) as Refusal[];
const NUMBERS: Readonly<Record<string, number | bigint>> = { "#nan": NaN, "#inf": Infinity, "#2**64": 2n ** 64n };
const METHODS = ["embed", "encode", "decode", "reconstruct", "reparameterize", "sample", "interpolate", "score", "logLikelihood"] as const;

/** Arguments with the numbers that JSON lacks. */
function given(value: unknown): unknown {
  if (typeof value === "string") return NUMBERS[value] ?? value;
  if (Array.isArray(value)) return value.map(given);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [camel(key), given(entry)]));
}

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Python's sentence with what JavaScript writes otherwise: names of options, null, one row in an array, objects. */
function translated(words: string): string {
  const object = (_: string, values: string): string => `pass {condition: ${JSON.stringify(JSON.parse(values.replaceAll("'", '"')))}}`;
  const named = words.replace(/\b(as_observed|observation_noise)\b/g, camel);
  return named
    .replace("or None for fresh", "or null for fresh")
    .replace("x.reshape(1, -1)", "[x]")
    .replace(/pass condition=(\{.*\})(, or rows with such columns)?$/, object);
}

describe("calls that Python refuses", () => {
  const vaes = new Map<string, VAE>();
  before(async () => {
    for (const { folder } of refusals) if (!vaes.has(folder)) vaes.set(folder, await load(filesOf(folder)));
  });

  for (const { folder, bundle, method, arguments: values, options, words } of refusals) {
    test(`${bundle}: ${translated(words).slice(0, 100)}`, async () => {
      const name = METHODS.find((each) => each === camel(method))!;
      const call = vaes.get(folder)![name] as (...args: unknown[]) => unknown;
      const made = async (): Promise<unknown> => call.apply(vaes.get(folder)!, [...(given(values) as unknown[]), given(options)]);
      await assert.rejects(made, (error: Error) => {
        assert.equal(error.message, translated(words));
        assert.equal(error.name, "InputError");
        return true;
      });
    });
  }
});
