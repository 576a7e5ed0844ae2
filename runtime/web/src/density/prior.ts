/** The prior of latents: N(0, I), or a mixture of Gaussians fitted to the aggregate posterior. */

import type { Arrays } from "../bundle/npz.js";
import { BundleError, InputError } from "../errors.js";
import { Rows } from "../rows.js";
import { shown } from "../text.js";
import { LOG_2PI, logAddExp } from "./functions.js";
import { normalRows, Stream, uniformRows } from "./noise.js";

export const PRIOR_ARRAYS = { weights: 1, means: 2, factors: 3 };
export const OPTIONAL_PRIOR_ARRAYS = { gate: 2 };
export const MAX_TEMPERATURE = 1e6; // beyond, decoded values overflow float32

/**
 * Mixture of K Gaussians over L latents; K = 0 is the standard normal.
 *
 * Given conditions c [C], the weights are softmax(log `weights` + `gate` c) with a `gate` [K, C], where there is one (`under`).
 */
export class LatentPrior {
  readonly latentDim: number;
  /** Shares of the components [K]; [N, K] of rows under their conditions. */
  readonly weights: Float64Array;
  /** Centres [K, L], one after another. */
  readonly means: Float64Array;
  /** Lower Cholesky factors of the covariances [K, L, L], one after another. */
  readonly factors: Float64Array;
  private readonly gate: Float64Array | undefined;

  private constructor(latentDim: number, arrays: readonly [Float64Array, Float64Array, Float64Array], gate?: Float64Array) {
    this.latentDim = latentDim;
    [this.weights, this.means, this.factors] = arrays;
    this.gate = gate;
  }

  static standard(latentDim: number): LatentPrior {
    return new LatentPrior(latentDim, [new Float64Array(), new Float64Array(), new Float64Array()]);
  }

  /** The prior of the arrays of `prior.npz`; `BundleError` for invalid arrays. */
  static fromArrays(arrays: Arrays): LatentPrior {
    const [weights, means, factors] = Object.keys(PRIOR_ARRAYS).map((name) => {
      const { shape, data } = arrays.get(name)!;
      return { shape, data: Float64Array.from(data) };
    });
    const [count, width] = means.shape;
    if (weights.shape.join() !== `${count}` || factors.shape.join() !== `${count},${width},${width}`) {
      throw new BundleError(
        `prior has weights (${weights.shape.join(", ")}), means (${means.shape.join(", ")}), factors ` +
          `(${factors.shape.join(", ")}): expected [K], [K, L], [K, L, L]: export the bundle again`,
      );
    }
    const total = weights.data.reduce((sum, value) => sum + value, 0);
    const triangular = factors.data.every((value, at) => {
      const [row, column] = [Math.floor(at / width) % width, at % width];
      return column > row ? value === 0 : column < row || value > 0;
    });
    if (count && (Math.abs(total - 1) > 1e-6 || weights.data.some((value) => value < 0) || !triangular)) {
      throw new BundleError(
        "prior is no mixture: expected weights that add up to 1 and lower triangular factors " +
          "with a positive diagonal: export the bundle again",
      );
    }
    const gate = arrays.get("gate");
    if (gate !== undefined && gate.shape[0] !== count) {
      throw new BundleError(
        `prior has a gate (${gate.shape.join(", ")}): expected finite numbers [${count}, C]: export the bundle again`,
      );
    }
    return new LatentPrior(width, [weights.data, means.data, factors.data], gate && Float64Array.from(gate.data));
  }

  /** K. */
  get components(): number {
    return this.latentDim ? this.means.length / this.latentDim : 0;
  }

  /** C of the gate, undefined without one. */
  get gateWidth(): number | undefined {
    return this.gate && this.gate.length / this.components;
  }

  /** The density of rows under conditions c [N, C]: with weights [N, K], and for N rows. Itself without a gate. */
  under(c: Rows | undefined): LatentPrior {
    if (c === undefined || this.gate === undefined) return this;
    const count = this.components;
    const shares = new Float64Array(c.length * count);
    for (let i = 0; i < c.length; i++) shares.set(this.sharesUnder(c.row(i)), i * count);
    return new LatentPrior(this.latentDim, [shares, this.means, this.factors]);
  }

  private sharesUnder(c: Float32Array): Float64Array {
    const logits = this.weights.map((weight, k) =>
      c.reduce((sum, value, j) => sum + this.gate![k * c.length + j] * value, Math.log(weight)),
    );
    const most = Math.max(...logits);
    const shares = logits.map((logit) => Math.exp(logit - most));
    const total = shares.reduce((sum, share) => sum + share, 0);
    return shares.map((share) => share / total);
  }

  /** The weights of row `i` [K]. */
  private weightsOf(i: number): Float64Array {
    const count = this.components;
    return this.weights.length > count ? this.weights.subarray(i * count, (i + 1) * count) : this.weights;
  }

  /** log p(z) of each row, in nats: [N]. */
  logDensity(z: Rows): Float64Array {
    const constant = -0.5 * this.latentDim * LOG_2PI;
    return Float64Array.from({ length: z.length }, (_, i) => {
      const row = z.row(i);
      if (!this.weights.length) return constant - 0.5 * row.reduce((sum, value) => sum + value * value, 0);
      return this.weightsOf(i).reduce((sum, weight, k) => logAddExp(sum, Math.log(weight) + constant + this.exponent(row, k)), -Infinity);
    });
  }

  /** Logarithm of a component's density at a row, without the constant: by forward substitution in its factor. */
  private exponent(row: Float32Array, k: number): number {
    const width = this.latentDim;
    const whitened = new Float64Array(width);
    let total = 0;
    for (let i = 0; i < width; i++) {
      const start = (k * width + i) * width;
      let rest = row[i] - this.means[k * width + i];
      for (let j = 0; j < i; j++) rest -= this.factors[start + j] * whitened[j];
      whitened[i] = rest / this.factors[start + i];
      total -= Math.log(this.factors[start + i]) + 0.5 * whitened[i] * whitened[i];
    }
    return total;
  }

  /** Latents start..stop of the sequence that `seed` names, spread scaled by `temperature`. */
  draw(seed: bigint, start: number, stop: number, temperature = 1): Rows {
    if (typeof temperature !== "number" || !(temperature >= 0 && temperature <= MAX_TEMPERATURE)) {
      throw new InputError(`temperature is ${shown(temperature)}: expected 0 to 1e+06, 1 is the density itself`);
    }
    const noise = normalRows(seed, start, stop, this.latentDim, Stream.LATENT);
    noise.data.forEach((value, at) => (noise.data[at] = temperature * value));
    if (!this.weights.length) return noise;
    const choice = uniformRows(seed, start, stop, 1, Stream.COMPONENT);
    const z = Rows.empty(noise.length, this.latentDim);
    for (let i = 0; i < noise.length; i++) this.place(z.row(i), noise.row(i), componentOf(this.weightsOf(i), choice[i]));
    return z;
  }

  /** z = mean + factor noise, of component `k`. */
  private place(z: Float32Array, noise: Float32Array, k: number): void {
    const width = this.latentDim;
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let j = 0; j <= i; j++) sum += this.factors[(k * width + i) * width + j] * noise[j];
      z[i] = this.means[k * width + i] + sum;
    }
  }
}

/** The component that a number in [0, 1) chooses. */
function componentOf(weights: Float64Array, choice: number): number {
  let sum = 0;
  const found = weights.findIndex((weight) => (sum += weight) > choice);
  return found < 0 ? weights.length - 1 : found;
}
