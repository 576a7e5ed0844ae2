/** Golden vectors: inputs with torch's outputs, which a bundle carries and every machine can compare with its own. */

import { Conditions } from "../conditions.js";
import { BundleError } from "../errors.js";
import { Rows } from "../rows.js";
import { general } from "../text.js";
import type { Bytes } from "./bytes.js";
import { GOLDEN } from "./manifest.js";
import type { Manifest, Precision } from "./manifest.js";
import { readNpz } from "./npz.js";

/** Arrays of conditions, by the array of their rows. */
const CONDITIONS = { x: "c", z: "c_z" } as const;
const ARRAYS = { x: 2, mu: 2, logvar: 2, z: 2, reconstruction: 2, real_rows: 1 };
/** fp32 on CPUs that add in another order than the exporting one; a wrong graph differs by far more. */
export const LOAD_TOLERANCE = 1e-4;
/** Relative root mean square of graphs of reduced precision. */
const TWIN_TOLERANCE: Readonly<Record<Precision, number>> = { fp32: 1e-2, fp16: 2e-2, int8: 0.25 };
const MOST_ROWS = 1024;

/** Difference of one tensor from torch's, relative to the reference, and the tolerance. */
export interface Replay {
  readonly tensor: string;
  readonly rows: number;
  readonly difference: number;
  readonly tolerance: number;
}

/** Throw `BundleError` unless the difference is within the tolerance (NaN is not). */
export function requirePassed(replay: Replay): void {
  if (replay.difference <= replay.tolerance) return;
  throw new BundleError(
    `${replay.tensor} differs from the golden vectors by ${general(replay.difference, 2)}, ` +
      `${general(replay.tolerance, 2)} allowed: the bundle or this machine's onnxruntime does not compute the trained ` +
      "model: run `aaptvae verify`",
  );
}

type Encode = (x: Rows, c?: Rows) => Promise<readonly Rows[]>;
type Decode = (z: Rows, c?: Rows) => Promise<Rows>;

/** `x`, `mu`, `logvar`, and `z`, `reconstruction`; the first `real` rows are real data. With conditions `c` of x, `c_z` of z. */
export class Golden {
  readonly real: number;
  private readonly arrays: ReadonlyMap<string, Rows>;
  private readonly unit: Float64Array;

  /** Reconstructions are compared in units of `unit` [D], because float32 rounding grows with the distance from zero. */
  private constructor(arrays: ReadonlyMap<string, Rows>, real: number, unit: Float64Array) {
    this.arrays = arrays;
    this.real = real;
    this.unit = unit;
  }

  /** The vectors of `golden.npz`; `BundleError` if they do not fit the manifest. */
  static read(data: Bytes, manifest: Manifest, unit: Float64Array): Golden {
    const views = Object.fromEntries(manifest.views.map((view) => [view.name, view.dim]));
    const width = new Conditions(manifest.conditions).width;
    const given: Record<string, number> = width ? { c: width, c_z: width } : {};
    const dimensions = { ...ARRAYS, ...Object.fromEntries(Object.keys({ ...views, ...given }).map((name) => [name, 2])) };
    const found = readNpz(data, GOLDEN, dimensions);
    const [inputs, latents] = [manifest.input_dim, manifest.latent_dim];
    const widths: Record<string, number> = { ...views, ...given, x: inputs, mu: latents, logvar: latents, z: latents, reconstruction: inputs };
    const rows = Object.fromEntries(Object.keys(widths).map((name) => [name, found.get(name)!.shape[0]]));
    const realRows = found.get("real_rows")!;
    const real = realRows.shape[0] === 1 ? realRows.data[0] : 0;
    const typed = Object.entries(widths).every(
      ([name, width]) => found.get(name)!.shape[1] === width && found.get(name)!.data instanceof Float32Array,
    );
    const alike = ["mu", "logvar", ...Object.keys(views), ...(width ? ["c"] : [])].every((name) => rows[name] === rows.x);
    const paired = ["reconstruction", ...(width ? ["c_z"] : [])].every((name) => rows[name] === rows.z);
    const few = real >= 1 && real <= rows.x && rows.x <= MOST_ROWS && rows.z >= 1 && rows.z <= MOST_ROWS;
    if (!typed || !alike || !few || !paired) {
      const shapes = Object.keys(widths).map((name) => `('${name}', (${found.get(name)!.shape.join(", ")}))`);
      throw new BundleError(
        `${GOLDEN} holds [${shapes.join(", ")}], ${real} rows real: expected float32 vectors of this bundle's widths: ` +
          "export it again",
      );
    }
    const entries = Object.entries(widths).map(
      ([name, width]) => [name, new Rows(found.get(name)!.data as Float32Array, width)] as const,
    );
    return new Golden(new Map(entries), real, unit);
  }

  /** The real rows of `x`. */
  get rows(): Rows {
    return this.taken("x", this.real);
  }

  /** c of the real rows, undefined for a model without conditions. */
  get conditions(): Rows | undefined {
    return this.given("x", this.real);
  }

  /** Differences of mu, logvar and reconstruction; reduced precision is compared on the real rows only. */
  async replay(encode: Encode, decode: Decode, precision: Precision): Promise<Replay[]> {
    const count = precision === "fp32" ? undefined : this.real;
    const [mu, logvar] = await encode(this.taken("x", count), this.given("x", count));
    const reconstruction = await decode(this.taken("z", count), this.given("z", count));
    const results = { mu, logvar, reconstruction };
    if (precision !== "fp32") {
      return Object.entries(results).map(([name, value]) => this.typical(name, value, TWIN_TOLERANCE[precision]));
    }
    // For narrow posteriors (low logvar) mu is a sum with large weights, so its rounding error is larger.
    const sizes = this.sizes("mu");
    this.sizes("logvar").forEach((size, i) => (sizes[i] = Math.max(sizes[i], size)));
    return [
      this.worst("mu", mu, sizes),
      this.worst("logvar", logvar, sizes),
      this.worst("reconstruction", reconstruction, this.sizes("reconstruction")),
    ];
  }

  /** Difference of a view of `x`, computed by a graph of this precision. */
  async replayView(name: string, embed: (x: Rows) => Promise<Rows>, precision: Precision): Promise<Replay> {
    const value = await embed(this.taken("x", precision === "fp32" ? undefined : this.real));
    return precision === "fp32" ? this.worst(name, value, this.sizes(name)) : this.typical(name, value, TWIN_TOLERANCE[precision]);
  }

  private given(name: "x" | "z", count?: number): Rows | undefined {
    return this.arrays.has(CONDITIONS[name]) ? this.taken(CONDITIONS[name], count) : undefined;
  }

  private taken(name: string, count?: number): Rows {
    const rows = this.arrays.get(name)!;
    return rows.slice(0, count ?? rows.length);
  }

  private unitOf(name: string, column: number): number {
    return name === "reconstruction" ? this.unit[column] : 1;
  }

  /** max(1, max|reference|) of each row, so that a large row does not raise the tolerance of others. */
  private sizes(name: string): Float64Array {
    const rows = this.taken(name);
    return Float64Array.from({ length: rows.length }, (_, i) =>
      rows.row(i).reduce((size, value, j) => Math.max(size, Math.abs(value / this.unitOf(name, j))), 1),
    );
  }

  private worst(tensor: string, value: Rows, sizes: Float64Array): Replay {
    const reference = this.taken(tensor, value.length);
    let difference = 0;
    value.data.forEach((computed, at) => {
      const column = at % value.width;
      const gap = Math.abs(computed - reference.data[at]) / this.unitOf(tensor, column) / sizes[Math.floor(at / value.width)];
      if (!(gap <= difference)) difference = gap;
    });
    return { tensor, rows: value.length, difference, tolerance: LOAD_TOLERANCE };
  }

  private typical(tensor: string, value: Rows, tolerance: number): Replay {
    const reference = this.taken(tensor, value.length);
    let [gaps, squares] = [0, 0];
    value.data.forEach((computed, at) => {
      const unit = this.unitOf(tensor, at % value.width);
      gaps += ((computed - reference.data[at]) / unit) ** 2;
      squares += (reference.data[at] / unit) ** 2;
    });
    const count = value.data.length;
    return { tensor, rows: value.length, difference: Math.sqrt(gaps / count / Math.max(squares / count, 1e-12)), tolerance };
  }
}
