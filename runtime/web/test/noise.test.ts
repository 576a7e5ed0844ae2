import assert from "node:assert/strict";
import { test } from "node:test";

import { chiSquareColumn, normalRows, resolveSeed, Stream, uniformRows } from "../src/density/noise.js";
import { digestOf, expected, largestGap, unpacked } from "./bundles.js";

test("normals of 1,000 seeds equal Python's", () => {
  const found = expected.noise.seeds.flatMap((seed) => [...normalRows(BigInt(seed), 63, 65, 3, Stream.LATENT).data]);
  assert.ok(largestGap(found, unpacked(expected.noise.normals)) <= 1e-6);
});

test("16,000 normals have the digest of Python's", () => {
  assert.equal(digestOf(new Uint8Array(normalRows(0n, 0, 1000, 16, Stream.LATENT).data.buffer)), expected.noise.long);
});

test("uniform numbers equal Python's bit for bit", () => {
  const uniforms = uniformRows(2n ** 64n - 1n, 10, 200, 1, Stream.COMPONENT);
  assert.equal(digestOf(new Uint8Array(uniforms.buffer)), expected.noise.uniforms);
});

test("chi-square numbers equal Python's", () => {
  const found = Array.from({ length: 40 }, (_, seed) => [...chiSquareColumn(BigInt(seed), 60, 70, 2.5 + seed, Stream.TAIL)]).flat();
  assert.ok(largestGap(found, unpacked(expected.noise.chi_squares), (at) => found[at]) <= 1e-6);
});

test("a row depends on the seed and its number alone", () => {
  const whole = normalRows(7n, 0, 300, 5, Stream.LATENT);
  for (const [start, stop] of [[0, 1], [63, 65], [64, 128], [100, 299], [17, 17]]) {
    assert.deepEqual(normalRows(7n, start, stop, 5, Stream.LATENT).data, whole.slice(start, stop).data);
  }
});

test("an invalid seed is refused", () => {
  for (const seed of [-1, 2 ** 64, 1.5, NaN, "7", true, -1n, 1n << 64n]) {
    assert.throws(() => resolveSeed(seed as number), /expected an integer from 0 to/);
  }
  assert.equal(resolveSeed(7), 7n);
  assert.notEqual(resolveSeed(null), resolveSeed(null));
});
