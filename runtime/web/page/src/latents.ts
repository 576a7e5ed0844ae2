/** Directions of the latent space on which rows are drawn, and the prior on them. */

import { product, transposed } from "../../src/rows.js";

import type { LatentPrior, Rows } from "../../src/exports.js";

/** A direction: `place(z) = (z - centre) . axis`; `step` moves z by one place along it. */
export interface Direction {
  readonly name: string;
  readonly axis: Float64Array;
  readonly step: Float64Array;
}

/** Mean of the rows and their covariance [L, L]. */
function moments(rows: Rows): { mean: Float64Array; covariance: Float64Array[] } {
  const width = rows.width;
  const mean = new Float64Array(width);
  rows.data.forEach((value, at) => (mean[at % width] += value / rows.length));
  const covariance = Array.from({ length: width }, () => new Float64Array(width));
  for (let i = 0; i < rows.length; i++) {
    const row = rows.row(i);
    for (let a = 0; a < width; a++) {
      const gap = (row[a] - mean[a]) / rows.length;
      for (let b = 0; b <= a; b++) covariance[a][b] += gap * (row[b] - mean[b]);
    }
  }
  for (let a = 0; a < width; a++) for (let b = 0; b < a; b++) covariance[b][a] = covariance[a][b];
  return { mean, covariance };
}

const ROUNDS = 60;

/** The first `count` eigenvectors of a covariance, by orthogonal iteration from its own columns. */
function eigenvectors(matrix: Float64Array[], count: number): Float64Array[] {
  const order = matrix.map((_, j) => j).sort((i, j) => matrix[j][j] - matrix[i][i]);
  let found = order.slice(0, count).map((j) => matrix[j].map((value, i) => value + (i === j ? matrix[j][j] : 0)));
  for (let round = 0; round < ROUNDS; round++) {
    found = orthonormal(found).map((axis) => Float64Array.from(matrix, (row) => dot(row, axis)));
  }
  return orthonormal(found).map(signed);
}

const LEAST = 1e-10; // of the longest vector: what is left of a shorter one is rounding

/** The Gram-Schmidt process, in order, each projection twice; vectors that others span are left out. */
function orthonormal(vectors: Float64Array[]): Float64Array[] {
  const longest = Math.max(...vectors.map((vector) => Math.sqrt(dot(vector, vector))));
  const made: Float64Array[] = [];
  for (const vector of vectors) {
    const rest = vector.slice();
    for (const axis of [...made, ...made]) {
      const share = dot(rest, axis);
      rest.forEach((value, j) => (rest[j] = value - share * axis[j]));
    }
    const length = Math.sqrt(dot(rest, rest));
    if (length > LEAST * longest) made.push(rest.map((value) => value / length));
  }
  return made;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let j = 0; j < a.length; j++) sum += a[j] * b[j];
  return sum;
}

/** The inverse of a matrix [L, L], by Gauss-Jordan elimination with partial pivoting. */
function inverted(matrix: Float64Array, width: number): Float64Array {
  const rows = Array.from({ length: width }, (_, i) => {
    const row = new Float64Array(2 * width);
    row.set(matrix.subarray(i * width, (i + 1) * width));
    row[width + i] = 1;
    return row;
  });
  for (let k = 0; k < width; k++) {
    const best = rows.reduce((most, row, i) => (i > k && Math.abs(row[k]) > Math.abs(rows[most][k]) ? i : most), k);
    [rows[k], rows[best]] = [rows[best], rows[k]];
    const top = rows[k];
    const pivot = top[k];
    for (let j = k; j < top.length; j++) top[j] /= pivot;
    for (const row of rows) {
      const share = row[k];
      if (row === top || share === 0) continue;
      for (let j = k; j < row.length; j++) row[j] -= share * top[j];
    }
  }
  return Float64Array.from(rows.flatMap((row) => [...row.subarray(width)]));
}

/**
 * Principal axes of the "metric" view, whose distances are those of reconstructions: mu = (metric - offset) `matrix`.
 *
 * On the axis v of the view lies (z - centre) matrix^-1 v, and a step along it moves z by v matrix.
 */
function metricAxes(matrix: Float64Array, covariance: Float64Array[]): Direction[] {
  const width = covariance.length;
  const inverse = inverted(matrix, width);
  const flat = Float64Array.from(covariance.flatMap((row) => [...row]));
  const seen = product(product(transposed(inverse, width, width), flat, width, width), inverse, width, width);
  const rows = Array.from({ length: width }, (_, i) => seen.slice(i * width, (i + 1) * width));
  return eigenvectors(rows, Math.min(width, AXES)).map((v, i) => ({
    name: `metric axis ${i + 1}`,
    axis: product(inverse, v, width, 1),
    step: product(v, matrix, width, width),
  }));
}

const AXES = 8; // principal ones
const MOST_INVERTED = 400; // latents, beyond which products of matrices take seconds

/** A direction's sign is arbitrary: the largest entry is made positive, so that a view can be shared. */
function signed(axis: Float64Array): Float64Array {
  const largest = axis.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  return largest < 0 ? axis.map((value) => -value) : axis;
}

/** Directions, their centre, and how far each latent varies over the rows. */
export class Latents {
  readonly directions: readonly Direction[];
  readonly centre: Float64Array;
  /** Latents by the variance of their posterior mean, largest first. */
  readonly busiest: readonly number[];
  /** The prior, under the chosen condition where there is one. */
  prior: LatentPrior;

  /** `matrix` [L, L] is that of the "metric" view, where the bundle has one. */
  constructor(prior: LatentPrior, mu: Rows, matrix?: Float64Array) {
    const { mean, covariance } = moments(mu);
    const width = mu.width;
    const principal = eigenvectors(covariance, Math.min(width, AXES));
    const unit = (j: number): Float64Array => Float64Array.from({ length: width }, (_, i) => (i === j ? 1 : 0));
    this.prior = prior;
    this.centre = mean;
    this.busiest = Array.from({ length: width }, (_, j) => j).sort((i, j) => covariance[j][j] - covariance[i][i]);
    this.directions = [
      ...principal.map((axis, i) => ({ name: `principal axis ${i + 1}`, axis, step: axis })),
      ...Array.from({ length: width }, (_, j) => ({ name: `latent ${j}`, axis: unit(j), step: unit(j) })),
      ...(matrix && width <= MOST_INVERTED ? metricAxes(matrix, covariance) : []),
    ];
  }

  /** Where `z` lies on a direction. */
  place(z: ArrayLike<number>, { axis }: Direction): number {
    let sum = 0;
    for (let j = 0; j < axis.length; j++) sum += (z[j] - this.centre[j]) * axis[j];
    return sum;
  }

  /** Move `z` to the places on two directions, leaving what both do not span. */
  move(z: Float32Array, [first, second]: readonly [Direction, Direction], places: readonly [number, number]): void {
    const [a, b] = [places[0] - this.place(z, first), places[1] - this.place(z, second)];
    const [across, up] = [dot(first.axis, second.step), dot(second.axis, first.step)]; // each moves the other's place
    const determinant = 1 - across * up;
    const [s, t] = Math.abs(determinant) > 1e-9 ? [(a - across * b) / determinant, (b - up * a) / determinant] : [a, 0];
    for (let j = 0; j < z.length; j++) z[j] += s * first.step[j] + t * second.step[j];
  }

  /** Mean and deviation of one latent under the prior. */
  range(latent: number): { mean: number; deviation: number } {
    const { weights, means, factors, latentDim: width } = this.prior;
    if (!weights.length) return { mean: 0, deviation: 1 };
    let [mean, square] = [0, 0];
    weights.forEach((weight, k) => {
      const centre = means[k * width + latent];
      const row = factors.subarray((k * width + latent) * width, (k * width + latent + 1) * width);
      mean += weight * centre;
      square += weight * (centre * centre + row.reduce((sum, value) => sum + value * value, 0));
    });
    return { mean, deviation: Math.sqrt(Math.max(0, square - mean * mean)) };
  }

  /** Ellipses of the prior's components at one and at two deviations, on two directions: closed lines of points. */
  ellipses(pair: readonly [Direction, Direction]): [number, number][][] {
    const { weights, means, factors, latentDim: width } = this.prior;
    const components = weights.length || 1;
    const lines: [number, number][][] = [];
    for (let k = 0; k < components; k++) {
      if (weights.length && weights[k] < 0.005) continue;
      const mean = weights.length ? means.subarray(k * width, (k + 1) * width) : new Float64Array(width);
      const spread = pair.map(({ axis }) => {
        if (!weights.length) return axis;
        const row = new Float64Array(width); // axis . factor
        for (let i = 0; i < width; i++) for (let j = 0; j <= i; j++) row[j] += axis[i] * factors[(k * width + i) * width + j];
        return row;
      });
      const [xx, xy, yy] = [[0, 0], [0, 1], [1, 1]].map(([a, b]) => spread[a].reduce((sum, value, j) => sum + value * spread[b][j], 0));
      const [l11, l21] = [Math.sqrt(xx), xy / Math.sqrt(xx)];
      const l22 = Math.sqrt(Math.max(0, yy - l21 * l21));
      const [x, y] = pair.map((direction) => this.place(mean, direction));
      for (const radius of [1, 2]) {
        lines.push(
          Array.from({ length: 49 }, (_, i) => {
            const [c, s] = [Math.cos((i * Math.PI) / 24), Math.sin((i * Math.PI) / 24)];
            return [x + radius * l11 * c, y + radius * (l21 * c + l22 * s)];
          }),
        );
      }
    }
    return lines;
  }
}
