/** The ELBO of rows: its expected log density, the KL divergence, and the share of held-out rows with a lower one. */

import type { Arrays } from "../bundle/npz.js";
import { BundleError } from "../errors.js";
import { Rows } from "../rows.js";
import { normalRows, Stream } from "./noise.js";
import { sumRows } from "./observation.js";
import type { ObservationModel } from "./observation.js";

export const PAIRS = 2;
const PATTERNS = 256;

/**
 * E[log p(x|z)] over z ~ N(mu, exp(logvar)) of each row, from `pairs` of opposite points `mu +- sigma * signs`.
 *
 * The signs are a function of the row, the same as in the Python runtime.
 */
export async function expectedLogDensity(
  model: { readonly decode: (z: Rows) => Promise<Rows>; readonly observation: ObservationModel },
  x: Rows,
  [mu, logvar]: readonly [Rows, Rows],
  pairs = PAIRS,
): Promise<Float64Array> {
  const bank = normalRows(0n, 0, PATTERNS, mu.width, Stream.IMPORTANCE).data.map(Math.sign);
  const chosen = Array.from({ length: x.length }, (_, i) => fingerprint(x.row(i)));
  const total = new Float64Array(x.length);
  for (let k = 0; k < pairs; k++) {
    for (const side of [1, -1]) {
      const points = mu.data.map((mean, at) => {
        const pattern = (chosen[Math.floor(at / mu.width)] + k) % PATTERNS;
        return mean + side * Math.fround(Math.exp(logvar.data[at] / 2)) * bank[pattern * mu.width + (at % mu.width)];
      });
      const density = model.observation.logDensity(x, await model.decode(new Rows(points, mu.width)));
      density.forEach((value, i) => (total[i] += value));
    }
  }
  return total.map((value) => value / (2 * pairs));
}

/** A hash below `PATTERNS` of a row, by multiplicative hashing (Knuth 6.4). */
function fingerprint(row: Float32Array): number {
  const bits = new Uint32Array(row.slice().buffer);
  return bits.reduce((sum, word, j) => (sum + Math.imul(word ^ (word >>> 15), Math.imul(2 * j + 1, 0x9e3779b1))) >>> 0, 0) >>> 24;
}

/** KL(N(mu, exp(logvar)) || N(0, I)) of each row, in nats: [N] (Kingma and Welling 2014, appendix B). */
export function klDivergence(mu: Rows, logvar: Rows): Float64Array {
  const terms = Float64Array.from(mu.data, (mean, at) => {
    const logVariance = logvar.data[at];
    return 0.5 * (mean * mean + Math.exp(logVariance) - logVariance - 1);
  });
  return sumRows(terms, mu.width);
}

/** ELBO of held-out rows, ascending, from the arrays of `likelihood.npz`; undefined if they hold none. */
export function readReference(arrays: Arrays): Float64Array | undefined {
  const found = arrays.get("heldout_elbo");
  if (found === undefined) return undefined;
  const values = Float64Array.from(found.data);
  if (!values.length || values.some((value, i) => i > 0 && value < values[i - 1])) {
    throw new BundleError(
      `heldout_elbo has ${values.length} values: expected one or more in ascending order: export the bundle again`,
    );
  }
  return values;
}

/** Share of held-out rows whose ELBO is as low as each row's or lower, the row itself counted (Vovk et al. 2005). */
export function pValues(elbo: Float64Array, reference: Float64Array | undefined): Float64Array {
  return elbo.map((value) => {
    if (reference === undefined) return NaN;
    const lower = reference.findIndex((other) => other > value);
    return ((lower < 0 ? reference.length : lower) + 1) / (reference.length + 1);
  });
}
