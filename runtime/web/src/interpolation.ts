/** Paths between latents: straight, or along the sphere with interpolated magnitude. */

import { InputError } from "./errors.js";
import { asCount, Rows } from "./rows.js";
import { shown } from "./text.js";

export type Curve = "linear" | "slerp";

/** From each row of `a` to the same row of `b` [N, L] in `steps` equal steps: [N * (steps + 1), L], both ends exact. */
export function walk(a: Rows, b: Rows, steps: number, path: Curve = "linear"): Rows {
  asCount(steps, "steps");
  if (path !== "linear" && path !== "slerp") {
    throw new InputError(`path is ${shown(path)}: expected "linear" or "slerp"`);
  }
  const points = Rows.empty(a.length * (steps + 1), a.width);
  for (let i = 0; i < a.length; i++) {
    const start = a.row(i);
    const end = b.row(i);
    const angle = path === "slerp" ? angleOf(start, end) : NaN;
    for (let k = 0; k <= steps; k++) {
      const point = points.row(i * (steps + 1) + k);
      if (k === 0) point.set(start);
      else if (k === steps) point.set(end);
      else between(point, start, end, k / steps, angle);
    }
  }
  return points;
}

/** Shoemake's slerp of directions times the linear interpolation of lengths; linear for parallel vectors. */
function between(point: Float32Array, start: Float32Array, end: Float32Array, t: number, angle: number): void {
  const bends = Math.sin(angle) > 1e-6; // false for NaN
  const lengths = [norm(start), norm(end)];
  const length = lengths[0] * (1 - t) + lengths[1] * t;
  const first = bends ? (Math.sin((1 - t) * angle) / Math.sin(angle) / lengths[0]) * length : 1 - t;
  const second = bends ? (Math.sin(t * angle) / Math.sin(angle) / lengths[1]) * length : t;
  for (let j = 0; j < point.length; j++) point[j] = first * start[j] + second * end[j];
}

function angleOf(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  for (let j = 0; j < a.length; j++) dot += a[j] * b[j];
  return Math.acos(Math.min(1, Math.max(-1, dot / (norm(a) * norm(b)))));
}

function norm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}
