/** Directions of the latent space on which rows are drawn, and the prior on them. */

import type { Rows, VAE } from "../../src/index.js";

/** A direction: `place(z) = (z - centre) . axis`. */
export interface Direction {
  readonly name: string;
  readonly axis: Float64Array;
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

/** Eigenvectors of a symmetric matrix, largest eigenvalue first (Jacobi's method). */
function eigenvectors(matrix: Float64Array[]): Float64Array[] {
  const n = matrix.length;
  const a = matrix.map((row) => row.slice());
  const v = Array.from({ length: n }, (_, i) => Float64Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
  const size = a.reduce((sum, row) => sum + row.reduce((part, value) => part + value * value, 0), 0);
  for (let sweep = 0; sweep < 30; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        off += a[p][q] ** 2;
        rotate(a, v, p, q);
      }
    }
    if (off <= 1e-20 * size) break;
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j][j] - a[i][i]);
  return order.map((column) => signed(Float64Array.from(v, (row) => row[column])));
}

function rotate(a: Float64Array[], v: Float64Array[], p: number, q: number): void {
  if (a[p][q] === 0) return;
  const slope = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = (slope < 0 ? -1 : 1) / (Math.abs(slope) + Math.sqrt(slope * slope + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < a.length; k++) turn(a[k], p, a[k], q, c, s);
  for (let k = 0; k < a.length; k++) turn(a[p], k, a[q], k, c, s);
  for (let k = 0; k < a.length; k++) turn(v[k], p, v[k], q, c, s);
}

/** Rotate the pair x[i], y[j] by the angle of cosine `c` and sine `s`. */
function turn(x: Float64Array, i: number, y: Float64Array, j: number, c: number, s: number): void {
  [x[i], y[j]] = [c * x[i] - s * y[j], s * x[i] + c * y[j]];
}

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
  private readonly vae: VAE;

  constructor(vae: VAE, mu: Rows) {
    const { mean, covariance } = moments(mu);
    const width = vae.latentDim;
    const principal = eigenvectors(covariance).slice(0, Math.min(width, 8));
    const unit = (j: number): Float64Array => Float64Array.from({ length: width }, (_, i) => (i === j ? 1 : 0));
    this.vae = vae;
    this.centre = mean;
    this.busiest = Array.from({ length: width }, (_, j) => j).sort((i, j) => covariance[j][j] - covariance[i][i]);
    this.directions = [
      ...principal.map((axis, i) => ({ name: `principal axis ${i + 1}`, axis })),
      ...Array.from({ length: width }, (_, j) => ({ name: `latent ${j}`, axis: unit(j) })),
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
    const overlap = first.axis.reduce((sum, value, j) => sum + value * second.axis[j], 0);
    const [a, b] = [places[0] - this.place(z, first), places[1] - this.place(z, second)];
    const determinant = 1 - overlap * overlap;
    const [s, t] = determinant > 1e-9 ? [(a - overlap * b) / determinant, (b - overlap * a) / determinant] : [a, 0];
    for (let j = 0; j < z.length; j++) z[j] += s * first.axis[j] + t * second.axis[j];
  }

  /** Mean and deviation of one latent under the prior. */
  range(latent: number): { mean: number; deviation: number } {
    const { weights, means, factors, latentDim: width } = this.vae.prior;
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
    const { weights, means, factors, latentDim: width } = this.vae.prior;
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
