import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import type { Precision } from "../src/bundle/manifest.js";
import { load, Rows } from "../src/node.js";
import type { ConditionLike, VAE, ViewName } from "../src/node.js";
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
      close(await vae.sample(100, { seed: 7, start: 60, observationNoise: true, ...given(100) }), "noisy");
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

    test("views, where the bundle has some", async () => {
      for (const view of vae.views.names as ViewName[]) close(await vae.embed(x, { view }), view);
      if (vae.views.names.includes("metric")) close(await vae.decode(await vae.embed(x, { view: "metric" }), { view: "metric" }), "of_metric");
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

test("a precision that the bundle lacks is refused", async () => {
  await assert.rejects(load(filesOf("tests/runtime/tiny"), { precision: "int8" }), /precision is 'int8': expected fp32/);
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
