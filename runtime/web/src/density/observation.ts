/** The observation model p(x|z) around a reconstruction, measured in standardised features. */

import type { Arrays } from "../bundle/npz.js";
import type { Manifest } from "../bundle/manifest.js";
import { BundleError, InputError } from "../errors.js";
import { product, Rows, transposed } from "../rows.js";
import { general } from "../text.js";
import { LOG_2PI, logAddExp, logGamma } from "./functions.js";
import { chiSquareColumn, normalRows, Stream, uniformRows } from "./noise.js";

export const OBSERVATION_ARRAYS = { mean: 1, scale: 1, sigma: 1 };
export const OPTIONAL_ARRAYS = { basis: 2, freedom: 1, broad_sigma: 1, broad: 1, constant: 1, heldout_elbo: 1 };
const MOST_FREEDOM = 1e15; // numerically a Gaussian; beyond, the gamma function overflows
const EPSILON = 2 ** -23; // of float32

type Kind = Manifest["likelihood"]["kind"];

/** Noise that a `share` of the rows has instead: a multivariate t of scales `sigma` [D] along the same axes. */
interface Broad {
  readonly sigma: Float64Array;
  readonly share: number;
  readonly freedom: number;
}

/**
 * Noise of the features given their reconstruction.
 *
 * gaussian: standardised features (x - `mean`) / `scale` [D] have covariance basis diag(sigma**2) basis'. student: that is
 * the scale matrix of a multivariate t with `freedom` degrees of freedom, mixed with a `broad` one where there is one.
 * bernoulli: x in [0, 1], the reconstruction is the probability.
 */
export class ObservationModel {
  readonly kind: Kind;
  readonly mean: Float64Array;
  readonly scale: Float64Array;
  private readonly sigma: Float64Array;
  private readonly basis: Float64Array | undefined;
  private readonly columns: number;
  private readonly freedom: number;
  private readonly broad: Broad | undefined;
  private readonly constant: Float64Array;

  /**
   * The model of the arrays of `likelihood.npz`; `BundleError` if shapes or signs are wrong. `restore` [D, K] is the
   * decoder's map from the coordinates along the axes to raw features, where it holds the basis.
   */
  constructor(kind: Kind, arrays: Arrays, restore?: Float32Array) {
    const [mean, scale, sigma, basis] = ["mean", "scale", "sigma", "basis"].map((name) => arrays.get(name));
    const width = mean!.shape[0];
    const columns = basis?.shape[1] ?? (restore ? restore.length / width : width);
    const axes = Math.min(columns + (basis || restore ? 1 : 0), width); // each has a scale
    const fits = basis === undefined || (basis.shape[0] === width && columns >= 1 && columns <= width);
    if (scale!.shape[0] !== width || ![1, axes].includes(sigma!.shape[0]) || !fits) {
      throw new BundleError(
        `likelihood has mean (${width}), scale (${scale!.shape[0]}), sigma (${sigma!.shape[0]}): expected [D], [D], [1] or ` +
          "[D], and basis [D, D], or [K + 1] and [D, K]: export the bundle again",
      );
    }
    if (scale!.data.some((value) => value <= 0) || (kind !== "bernoulli" && sigma!.data.some((value) => value <= 0))) {
      throw new BundleError("likelihood has a scale or sigma that is not positive: export the bundle again");
    }
    if ((kind === "student") !== arrays.has("freedom")) {
      throw new BundleError(`likelihood is ${kind}: expected degrees of freedom with student only: export it again`);
    }
    this.kind = kind;
    this.constant = maskOf(arrays, width);
    this.mean = Float64Array.from(mean!.data);
    this.scale = Float64Array.from(scale!.data);
    this.sigma = Float64Array.from({ length: axes }, (_, j) => sigma!.data[sigma!.data.length === 1 ? 0 : j]);
    this.columns = columns;
    this.basis = basis ? Float64Array.from(basis.data) : restore && basisOf(restore, this.scale);
    this.freedom = kind === "student" ? freedomOf(arrays) : Infinity;
    this.broad = kind === "student" ? broadOf(arrays, axes) : undefined;
  }

  /** Scale of float32 rounding of each feature [D]: max(deviation, |mean|); 1 for bernoulli. */
  get unit(): Float64Array {
    return this.scale.map((scale, j) => (this.kind === "bernoulli" ? 1 : Math.max(scale, Math.abs(this.mean[j]))));
  }

  /** Mean squared error of the standardised features of each row: [N]. */
  squaredError(x: Rows, reconstruction: Rows): Float64Array {
    const residual = this.residual(x, reconstruction);
    return sumRows(residual.map((value) => value * value), x.width).map((sum) => sum / x.width);
  }

  /** log p(x | reconstruction) of each row, in nats of the standardised features: [N]. */
  logDensity(x: Rows, reconstruction: Rows): Float64Array {
    if (this.kind === "bernoulli") return bernoulli(x, reconstruction);
    const residual = this.residual(x, reconstruction);
    const along = this.basis ? alongAxes(residual, this.basis, x.width, this.columns) : residual;
    const others = this.basis ? Math.max(1, x.width - this.columns) : 1;
    const density = elliptical(along, this.sigma, this.freedom, others);
    if (this.broad === undefined) return density;
    const { sigma, share, freedom } = this.broad;
    const broad = elliptical(along, sigma, freedom, others);
    return density.map((value, i) => logAddExp(Math.log1p(-share) + value, Math.log(share) + broad[i]));
  }

  /** Rows from `start` on of a seeded sequence of observations around `reconstruction`. */
  withNoise(reconstruction: Rows, seed: bigint, start: number): Rows {
    const { width, length } = reconstruction;
    if (this.kind === "bernoulli") {
      const choice = uniformRows(seed, start, start + length, width, Stream.OBSERVATION);
      return new Rows(reconstruction.data.map((probability, at) => Number(choice[at] < probability)), width);
    }
    const white = normalRows(seed, start, start + length, width, Stream.OBSERVATION);
    const choice = this.broad ? uniformRows(seed, start, start + length, 1, Stream.BREADTH) : new Float64Array(length).fill(1);
    const isBroad = Array.from(choice, (number) => this.broad !== undefined && number < this.broad.share);
    const noise = this.scaled(Float64Array.from(white.data), isBroad);
    if (this.kind === "student") {
      const tails = [this.freedom, this.broad?.freedom ?? this.freedom].map((freedom) =>
        chiSquareColumn(seed, start, start + length, freedom, Stream.TAIL).map((drawn) => Math.sqrt(drawn / freedom)),
      );
      noise.forEach((value, at) => (noise[at] = value / tails[isBroad[Math.floor(at / width)] ? 1 : 0][Math.floor(at / width)]));
    }
    const moved = (mean: number, at: number): number =>
      this.constant[at % width] ? mean : mean + this.scale[at % width] * noise[at];
    return new Rows(reconstruction.data.map(moved), width);
  }

  /** Standard normal rows with the scales along the axes, the broad ones where a row has these. */
  private scaled(white: Float64Array, isBroad: readonly boolean[]): Float64Array {
    const [width, columns] = [this.mean.length, this.columns];
    const sigma = (row: number, j: number): number => (isBroad[row] ? this.broad!.sigma : this.sigma)[j];
    if (this.basis === undefined) return white.map((value, at) => sigma(Math.floor(at / width), at % width) * value);
    const rest = (row: number): number => (columns < width ? sigma(row, columns) : 0);
    // With all axes, the numbers are coordinates along them; with fewer, only what these add needs their coordinates.
    const coordinates = columns < width ? product(white, this.basis, width, columns) : white;
    const along = coordinates.map((value, at) => {
      const row = Math.floor(at / columns);
      return (sigma(row, at % columns) - rest(row)) * value;
    });
    const added = product(along, transposed(this.basis, width, columns), columns, width);
    return columns < width ? added.map((value, at) => value + rest(Math.floor(at / width)) * white[at]) : added;
  }

  private residual(x: Rows, reconstruction: Rows): Float64Array {
    return Float64Array.from(x.data, (value, at) => (value - reconstruction.data[at]) / this.scale[at % x.width]);
  }
}

/** Sum of each row of `width` values: [N]. */
export function sumRows(values: Float64Array, width: number): Float64Array {
  const sums = new Float64Array(values.length / width);
  for (let at = 0; at < values.length; at++) sums[Math.floor(at / width)] += values[at];
  return sums;
}

/** Shape [D, K] of a basis that the decoder holds: the arrays then have K + 1 scales and no basis; else undefined. */
export function basisElsewhere(arrays: Arrays): readonly [number, number] | undefined {
  const [count, width] = [arrays.get("sigma")!.shape[0], arrays.get("mean")!.shape[0]];
  return arrays.has("basis") || count <= 1 || count === width ? undefined : [width, count - 1];
}

/** Unit columns of a map from coordinates to raw features [D, K], in features divided by `scale` [D]. */
function basisOf(restore: Float32Array, scale: Float64Array): Float64Array {
  const columns = restore.length / scale.length;
  const basis = Float64Array.from(restore, (value, at) => value / scale[Math.floor(at / columns)]);
  const squares = new Float64Array(columns);
  basis.forEach((value, at) => (squares[at % columns] += value * value));
  return basis.map((value, at) => value / Math.max(Math.sqrt(squares[at % columns]), Number.MIN_VALUE));
}

/** Coordinates of residuals along a basis [D, K]; with K < D also the length of the part that is orthogonal to it: [N, K + 1]. */
function alongAxes(residual: Float64Array, basis: Float64Array, width: number, columns: number): Float64Array {
  const along = product(residual, basis, width, columns);
  if (columns === width) return along;
  const whole = sumRows(residual.map((value) => value * value), width);
  const inside = sumRows(along.map((value) => value * value), columns);
  const result = new Float64Array(whole.length * (columns + 1));
  whole.forEach((square, i) => {
    result.set(along.subarray(i * columns, (i + 1) * columns), i * (columns + 1));
    result[i * (columns + 1) + columns] = Math.sqrt(Math.max(0, square - inside[i]));
  });
  return result;
}

/**
 * Log density of residuals under a multivariate t (Lange et al. 1989), a Gaussian at infinite `freedom`: [N].
 *
 * The last coordinate may be the length of a vector of `others` numbers that share a scale.
 */
function elliptical(residual: Float64Array, sigma: Float64Array, freedom: number, others: number): Float64Array {
  const held = sigma.length;
  const width = held + others - 1;
  const distances = sumRows(residual.map((value, at) => (value / sigma[at % held]) ** 2), held);
  const volume = sigma.reduce((sum, value) => sum + Math.log(value), 0) + (others - 1) * Math.log(sigma[held - 1]);
  if (freedom === Infinity) return distances.map((distance) => -0.5 * distance - volume - 0.5 * width * LOG_2PI);
  const norm = logGamma(0.5 * (freedom + width)) - logGamma(0.5 * freedom) - 0.5 * width * Math.log(Math.PI * freedom);
  return distances.map((distance) => norm - volume - 0.5 * (freedom + width) * Math.log1p(distance / freedom));
}

function bernoulli(x: Rows, probability: Rows): Float64Array {
  const outside = x.data.some((value) => value < 0 || value > 1);
  if (outside) {
    const [least, most] = x.data.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    throw new InputError(
      `x goes from ${general(least)} to ${general(most)}: this bundle's likelihood is bernoulli and expects ` +
        "features in [0, 1]: rescale them as for training",
    );
  }
  const terms = Float64Array.from(x.data, (value, at) => {
    const p = Math.min(1 - EPSILON, Math.max(EPSILON, probability.data[at]));
    return value * Math.log(p) + (1 - value) * Math.log1p(-p);
  });
  return sumRows(terms, x.width);
}

function freedomOf(arrays: Arrays): number {
  const freedom = arrays.get("freedom")!;
  if (freedom.shape[0] !== 1 || !(freedom.data[0] > 2 && freedom.data[0] <= MOST_FREEDOM)) {
    throw new BundleError("likelihood has no degrees of freedom above 2 (and up to 1e15): export the bundle again");
  }
  return freedom.data[0];
}

function broadOf(arrays: Arrays, width: number): Broad | undefined {
  const [sigma, facts] = [arrays.get("broad_sigma"), arrays.get("broad")];
  if (sigma === undefined && facts === undefined) return undefined;
  const [share, freedom] = facts?.data ?? [];
  const shaped = sigma?.shape[0] === width && facts?.shape[0] === 2;
  if (!shaped || sigma.data.some((value) => value <= 0) || !(share > 0 && share < 1 && freedom > 2 && freedom <= MOST_FREEDOM)) {
    throw new BundleError(
      "likelihood has broad noise without scales above 0 [D], a share in (0, 1) and degrees of freedom above 2: " +
        "export the bundle again",
    );
  }
  return { sigma: Float64Array.from(sigma.data), share, freedom };
}

/** 1 for features without noise: [D]. */
function maskOf(arrays: Arrays, width: number): Float64Array {
  const mask = arrays.get("constant");
  if (mask !== undefined && (mask.shape[0] !== width || mask.data.some((value) => value !== 0 && value !== 1))) {
    throw new BundleError("likelihood has a mask of constant columns that is not 0 or 1 for each: export the bundle again");
  }
  return mask ? Float64Array.from(mask.data) : new Float64Array(width);
}
