import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import type { Precision } from "../src/bundle/manifest.js";
import { load, Rows } from "../src/node.js";
import type { ConditionLike, VAE } from "../src/node.js";
import { expected, filesOf, largestGap, unpacked } from "./bundles.js";

for (const [name, python] of Object.entries(expected.bundles)) {
  describe(`the bundle ${name} computes what Python computes`, () => {
    let vae: VAE;
    let x: Rows;
    /** Conditions as in make_expected.py: categories in turn, and ages from 20 up. */
    const given = (count: number): { condition?: ConditionLike } => {
      if (!vae.conditions.width) return {};
      const rows = Array.from({ length: count }, (_, i) => i);
      return { condition: { kind: rows.map((i) => "abc"[i % 3]), age: rows.map((i) => 20 + (i % 45)) } };
    };
    before(async () => {
      vae = await load(filesOf(python["folder"]), { precision: python["precision"] as Precision, sha256: python["digest"] });
      x = vae.goldenRows;
      const differences = vae.replays.map(({ tensor, difference }) => `${tensor} ${difference.toExponential(1)}`);
      console.log(`golden vectors of ${name}: ${differences.join(", ")}`);
    });

    const close = (found: Rows, key: string): void => {
      const values = unpacked(python[key]);
      const unit = found.width === vae.inputDim ? unpacked(python["unit"]) : new Float32Array(found.width).fill(1);
      const gap = largestGap(found.data, values, (at) => unit[at % found.width] * Math.max(1, Math.abs(values[at]) / unit[at % found.width]));
      assert.ok(gap <= 1e-5, `${key} differs by ${gap}`);
    };

    test("embed and reconstruct", async () => {
      close(await vae.embed(x, given(x.length)), "mu");
      close(await vae.reconstruct(x, given(x.length)), "reconstruction");
    });

    test("sample, from both priors", async () => {
      close(await vae.sample(100, { seed: 7, ...given(100) }), "sample");
      close(await vae.sample(10, { start: 130, seed: 2n ** 63n, prior: "standard", temperature: 0.5, ...given(10) }), "later");
    });

    test("observation noise", async () => {
      const rows = await vae.sample(100, { seed: 7, start: 60, ...given(100) });
      close(vae.observation.withNoise(rows, 7n, 60), "noisy");
    });

    test("sample as observed, where the bundle has maps for it", async () => {
      const options = { seed: 7, start: 60, asObserved: true, ...given(100) };
      if (vae.manifest.marginals) close(await vae.sample(100, options), "as_observed");
      else await assert.rejects(vae.sample(100, options), /asObserved is true: this bundle has no marginals.npz/);
    });

    test("interpolate, straight and along the sphere", async () => {
      close(await vae.interpolate(x.slice(0, 2), x.slice(2, 4), { steps: 4, ...given(2) }), "linear");
      close(await vae.interpolate(x.slice(0, 2), x.slice(2, 4), { steps: 4, path: "slerp", ...given(2) }), "slerp");
    });

    test("reparameterize", async () => {
      const { mu, logvar } = await vae.encode(x, given(x.length));
      close(vae.reparameterize(mu, logvar, { seed: 3 }), "reparameterize");
    });

    test("log_likelihood, under both priors", async () => {
      for (const prior of ["standard", "fitted"] as const) {
        const found = await vae.logLikelihood(x, { samples: 8, seed: 5, prior, ...given(x.length) });
        const values = unpacked(python[`log_likelihood_${prior}`]);
        const gap = largestGap(found, values, (at) => Math.max(1, Math.abs(values[at])));
        assert.ok(gap <= 1e-4, `log-likelihood under the ${prior} prior differs by ${gap}`);
      }
    });

    test("score", async () => {
      const scores = await vae.score(x, given(x.length));
      const pairs = {
        reconstruction_error: scores.reconstructionError,
        kl_divergence: scores.klDivergence,
        elbo: scores.elbo,
        p_value: scores.pValue.map((value) => (Number.isNaN(value) ? -1 : value)),
      };
      for (const [key, found] of Object.entries(pairs)) {
        const values = unpacked(python[key]);
        const gap = largestGap(found, values, (at) => Math.max(1, Math.abs(values[at])));
        assert.ok(gap <= 1e-4, `${key} differs by ${gap}`);
      }
    });
  });
}

test("rows that do not fit are refused in Python's words", async () => {
  const vae = await load(filesOf("tests/runtime/tiny"));
  const refused = async (call: () => Promise<unknown>, words: string): Promise<void> => {
    await assert.rejects(call, (error: Error) => error.name === "InputError" && error.message.includes(words));
  };
  const row = [1, 2, 3, 4, 5];
  await refused(() => vae.embed([[1, 2]]), "x has 2 columns: this bundle takes 5: pass the features (or latents) of its model");
  await refused(() => vae.embed([row, [1, 2, NaN, 4, 5]]), "x has nan at row 1, column 2: expected finite float32 numbers");
  await refused(() => vae.embed([[1e39, 0, 0, 0, 0]]), "x has 1e+39 at row 0, column 0: expected finite float32 numbers");
  await refused(() => vae.embed(row as never), "x has one dimension: expected two dimensions [N, 5]");
  await refused(() => vae.decode([[3e38, 3e38]]), "z row 0 is too large for the model, whose results are not finite");
  await refused(() => vae.embed([row], { view: "metric" }), "view is 'metric': this bundle has mu: choose one of them");
  await refused(() => vae.sample(-1), "n is -1: expected the number of rows, an integer from 0 up");
  await refused(() => vae.sample(1, { seed: 0, temperature: -1 }), "temperature is -1: expected 0 to 1e+06");
  await refused(() => vae.sample(1, { prior: "flat" as never }), "prior is 'flat': expected \"fitted\" or \"standard\"");
  await refused(() => vae.logLikelihood([row], { samples: 0 }), "samples is 0: expected an integer from 1 up");
  await refused(() => vae.interpolate([row], [row], { steps: 0 }), "steps is 0: expected an integer from 1 up");
  await refused(() => vae.interpolate([row, row], [row]), "a has 2 rows and b 1: expected equal numbers");
  await refused(() => load(filesOf("tests/runtime/tiny"), { precision: "int8" }), "precision is 'int8': expected fp32");
});

test("conditions by name, of each row and as numbers are alike", async () => {
  const vae = await load(filesOf("tests/web/conditional"));
  const x = vae.goldenRows.slice(0, 3);
  const one = await vae.embed(x, { condition: { kind: "b", age: "50" } });
  for (const condition of [{ kind: ["b", "b", "b"], age: [50, 50, 50] }, [[0, 1, 0, 1]], new Rows(Float32Array.of(0, 1, 0, 1), 4)]) {
    assert.deepEqual(await vae.embed(x, { condition }), one);
  }
  assert.notDeepEqual(await vae.embed(x, { condition: { kind: "a", age: 50 } }), one);
  const samples = await vae.sample(100, { seed: 7, condition: { kind: "b", age: 50 } });
  assert.ok(largestGap(samples.data, unpacked(expected.bundles["conditional"]["sample_under"])) < 1e-4);
  assert.deepEqual(vae.conditions.valuesOf([0, 1, 0, 1]), { kind: "b", age: 50 });
  const own = vae.conditions.valuesOf(vae.goldenConditions!.row(0));
  assert.deepEqual(await vae.embed(x.slice(0, 1), { condition: own }), await vae.embed(x.slice(0, 1), { condition: vae.goldenConditions!.slice(0, 1) }));
});

test("wrong conditions are refused in Python's words", async () => {
  const vae = await load(filesOf("tests/web/conditional"));
  const cases: [unknown, string][] = [
    [undefined, 'the condition kind, age is missing: this bundle takes kind (a, b, c); age (a number): pass {condition: {"kind":"a","age":40}}'],
    [{ kind: "a" }, "the condition age is missing"],
    [{ kind: "z", age: 1 }, "condition kind is 'z': expected one of a, b, c: pass a category that the model was trained on"],
    [{ kind: ["a"], age: 1 }, "condition kind has 1 values for 2 rows: expected one, or one for each row"],
    [{ kind: ["a", "z"], age: 1 }, "condition kind is 'z' in row 1: expected one of a, b, c"],
    [{ kind: "a", age: "old" }, "condition age is 'old': expected a finite number"],
    [{ kind: "a", age: NaN }, "condition age is nan: expected a finite number"],
    [{ kind: "a", age: [1, null] }, "condition age is None in row 1: expected a finite number"],
    [{ kind: "a", age: 1, sex: "f" }, "condition has sex: expected kind (a, b, c); age (a number): leave out the others"],
    ["a", 'condition is \'a\': expected values by name: pass {condition: {"kind":"a"}}'],
    [[[0, 0, 0], [0, 0, 0]], "condition is an array of shape (2, 3): expected c [2, 4], or values by name"],
    [[[0, 0, 0, NaN]], "c has nan at row 0, column 3: expected finite float32 numbers"],
  ];
  for (const [condition, words] of cases) {
    const call = vae.embed(vae.goldenRows.slice(0, 2), { condition: condition as ConditionLike });
    await assert.rejects(call, (error: Error) => error.name === "InputError" && error.message.includes(words) || assert.fail(error.message));
  }
  const plain = await load(filesOf("tests/runtime/tiny"));
  await assert.rejects(plain.sample(1, { condition: { kind: "a" } }), /this bundle takes no condition: leave condition out, or train with/);
});

test("the log-likelihood of a row depends on no other row", async () => {
  const vae = await load(filesOf("tests/runtime/tiny"));
  const x = Array.from({ length: 70 }, (_, i) => [i % 5, 1, 2, 3, 4]);
  const whole = await vae.logLikelihood(x, { samples: 1024, seed: 1 }); // in steps of 64 rows
  const first = await vae.logLikelihood(x.slice(0, 3), { samples: 1024, seed: 1 });
  assert.ok(first.every((value, i) => Math.abs(value - whole[i]) < 1e-4));
  assert.ok(Math.abs(whole[65] - whole[0]) < 1 && whole[65] !== whole[0]); // an equal row with draws of its own
});

test("missing features are replaced by the mean of their column", async () => {
  const vae = await load(filesOf("tests/runtime/tiny"));
  const manifest = { ...vae.manifest, missing: "mean" as const };
  const filling = Object.create(vae, { manifest: { value: manifest } }) as VAE;
  const mean = [...vae.observation.mean];
  assert.deepEqual(await filling.embed([mean.map((value, j) => (j === 2 ? NaN : value))]), await vae.embed([mean]));
});
