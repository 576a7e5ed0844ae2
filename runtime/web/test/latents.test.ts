/** Directions of the explorer's map. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Latents } from "../page/src/latents.js";
import { load } from "../src/node.js";
import { filesOf } from "./bundles.js";

test("metric axes show the distances of the metric view, and are moved along", async () => {
  const vae = await load(filesOf("artifacts/digits"));
  const x = vae.goldenRows; // eight rows, whose differences lie in seven directions
  const [mu, metric] = [await vae.embed(x), await vae.embed(x, { view: "metric" })];
  const latents = new Latents(vae.prior, mu, vae.views.matrix);
  const axes = latents.directions.filter(({ name }) => name.startsWith("metric axis"));
  assert.equal(axes.length, 7);
  const squares = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a, (value, j) => (value - b[j]) ** 2).reduce((sum, gap) => sum + gap, 0);
  const places = Array.from({ length: x.length }, (_, i) => axes.map((axis) => latents.place(mu.row(i), axis)));
  for (let i = 1; i < x.length; i++) {
    const [found, wanted] = [squares(places[i], places[0]), squares(metric.row(i), metric.row(0))];
    assert.ok(Math.abs(found / wanted - 1) < 1e-3, `row ${i}: ${found} is not ${wanted}`);
  }
  for (const pair of [[axes[0], axes[1]], [axes[0], latents.directions[0]], [latents.directions[9], axes[2]]] as const) {
    const z = mu.row(3).slice();
    latents.move(z, pair, [1.5, -0.5]);
    assert.ok(pair.every((axis, k) => Math.abs(latents.place(z, axis) - [1.5, -0.5][k]) < 1e-4));
  }
});
