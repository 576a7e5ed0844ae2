/** The ELBO of rows: its expected log density, the KL divergence, and the share of held-out rows with a lower one. */

import type { Arrays } from "../bundle/npz.js";
import { BundleError } from "../errors.js";
import { Rows } from "../rows.js";
import { LOG_2PI, logAddExp } from "./functions.js";
import { normalRows, Stream } from "./noise.js";
import { sumRows } from "./observation.js";
import type { ObservationModel } from "./observation.js";
import type { LatentPrior } from "./prior.js";

interface Model {
  readonly decode: (z: Rows) => Promise<Rows>;
  readonly observation: ObservationModel;
}

export const PAIRS = 2;
export const SAMPLES = 64;
const PATTERNS = 256;

/**
 * E[log p(x|z)] over z ~ N(mu, exp(logvar)) of each row, from `pairs` of opposite points `mu +- sigma * signs`.
 *
 * The signs are a function of the row, the same as in the Python runtime.
 */
export async function expectedLogDensity(
  model: Model,
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

/**
 * The bound of log p(x) of each row with `samples` draws (Burda et al. 2016).
 *
 * `start` is the number of the first row in its table: draw k of row i depends on `seed`, i and k alone.
 */
export async function importanceWeighted(
  model: Model,
  prior: LatentPrior,
  x: Rows,
  [mu, logvar]: readonly [Rows, Rows],
  { seed, samples, start }: { readonly seed: bigint; readonly samples: number; readonly start: number },
): Promise<Float64Array> {
  const width = mu.width;
  const noise = normalRows(seed, start * samples, (start + x.length) * samples, width, Stream.IMPORTANCE);
  const bound = new Float64Array(x.length).fill(-Infinity);
  for (let k = 0; k < samples; k++) {
    const z = Rows.empty(x.length, width);
    const surprise = new Float64Array(x.length).fill(0.5 * width * LOG_2PI);
    z.data.forEach((_, at) => {
      const [i, spread] = [Math.floor(at / width), logvar.data[at]];
      const eps = noise.data[(i * samples + k) * width + (at % width)];
      z.data[at] = mu.data[at] + Math.fround(Math.exp(spread / 2)) * eps;
      surprise[i] += 0.5 * (eps * eps + spread);
    });
    const [density, latents] = [model.observation.logDensity(x, await model.decode(z)), prior.logDensity(z)];
    bound.forEach((sum, i) => (bound[i] = logAddExp(sum, density[i] + surprise[i] + latents[i])));
  }
  return bound.map((sum) => sum - Math.log(samples));
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
