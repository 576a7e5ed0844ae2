/** A bundle with its files checked and its graphs open, the base of `VAE`. */

import { Golden, requirePassed } from "./bundle/golden.js";
import type { Replay } from "./bundle/golden.js";
import { checkGraph } from "./bundle/graphCheck.js";
import { GOLDEN, graphFile, metadataOf, precisionsOf } from "./bundle/manifest.js";
import type { Manifest, Precision } from "./bundle/manifest.js";
import type { Bundle } from "./bundle/reading.js";
import { Conditions } from "./conditions.js";
import type { ConditionLike } from "./conditions.js";
import { Densities } from "./densities.js";
import type { ObservationModel } from "./density/observation.js";
import type { LatentPrior } from "./density/prior.js";
import { Network } from "./engine/network.js";
import type { Backend } from "./engine/network.js";
import { InputError } from "./errors.js";
import { asRows, Rows } from "./rows.js";
import type { Table } from "./rows.js";
import { shown } from "./text.js";
import { Views } from "./views.js";

/** Where graphs run in a browser; "auto": WebGPU if it is there and computes the golden vectors, else WebAssembly. */
export type Device = "wasm" | "webgpu" | "auto";

export interface LoadOptions {
  /** The digest that the bundle must have. */
  readonly sha256?: string;
  readonly precision?: Precision;
  /** false skips the comparison with the golden vectors. */
  readonly golden?: boolean;
  /** "wasm" unless another is chosen; Node runs on the CPU. */
  readonly device?: Device;
}

/** What a bundle's files hold, checked, and its open graphs. */
export interface Opened {
  readonly device: Backend["provider"];
  readonly bundle: Bundle;
  readonly precision: Precision;
  readonly densities: Densities;
  readonly golden: Golden;
  readonly views: Views;
  readonly encoder: Network;
  readonly decoder: Network;
}

/** Check the files of a bundle, and open its graphs on `backend`. */
export async function open(backend: Backend, bundle: Bundle, { precision = "fp32", golden = true }: LoadOptions): Promise<Opened> {
  const { manifest, files } = bundle;
  const precisions = precisionsOf(manifest);
  if (!precisions.includes(precision)) {
    throw new InputError(
      `precision is ${shown(precision)}: expected ${precisions.join(", ")}, as in this bundle: choose one, or ` +
        `export with --precision ${precision}`,
    );
  }
  const densities = new Densities(bundle);
  const vectors = Golden.read(files.get(GOLDEN)!, manifest, densities.observation.unit);
  const graphs = ["encoder", "decoder"] as const;
  for (const graph of graphs) {
    // Both are checked before onnxruntime parses one.
    const name = graphFile(graph, precision);
    checkGraph(files.get(name)!, name, manifest[graph], precision, metadataOf(manifest, graph, precision));
  }
  const views = new Views(bundle, precision, backend, golden ? vectors : null);
  const network = (graph: (typeof graphs)[number]): Promise<Network> =>
    Network.open(backend, files.get(graphFile(graph, precision))!, manifest[graph]);
  const [encoder, decoder] = [await network("encoder"), await network("decoder")]; // WebGPU opens one at a time
  encoder.columns = manifest.columns;
  return { device: backend.provider, bundle, precision, densities, golden: vectors, views, encoder, decoder };
}

export class LoadedBundle {
  /** Differences from the golden vectors on this machine; empty where they were not compared. */
  replays: readonly Replay[] = [];
  /** Why graphs do not run on the device that was preferred, null where they do. */
  fallback: string | null = null;
  /** The conditions that the model takes; `conditions.names` is empty for a model without. */
  readonly conditions: Conditions;
  protected readonly opened: Opened;

  constructor(opened: Opened) {
    this.opened = opened;
    this.conditions = new Conditions(this.manifest.conditions);
  }

  /** Compare the graphs with the golden vectors; `BundleError` where they differ. */
  async replay(): Promise<void> {
    const { encoder, decoder, golden, precision } = this.opened;
    this.replays = await golden.replay(
      (x, c) => encoder.run(x, ["mu", "logvar"], c),
      async (z, c) => (await decoder.run(z, ["reconstruction"], c))[0],
      precision,
    );
    this.replays.forEach(requirePassed);
  }

  get manifest(): Manifest {
    return this.opened.bundle.manifest;
  }

  /** SHA-256 of the bundle's manifest, for `load(..., {sha256})`. */
  get digest(): string {
    return this.opened.bundle.digest;
  }

  /** Where the graphs run. */
  get device(): "wasm" | "webgpu" | "cpu" {
    return this.opened.device;
  }

  get precision(): Precision {
    return this.opened.precision;
  }

  get prior(): LatentPrior {
    return this.opened.densities.prior;
  }

  get observation(): ObservationModel {
    return this.opened.densities.observation;
  }

  get views(): Views {
    return this.opened.views;
  }

  /** D, the width of features. */
  get inputDim(): number {
    return this.manifest.input_dim;
  }

  /** L, the width of latents. */
  get latentDim(): number {
    return this.manifest.latent_dim;
  }

  /** Names of the features [D], null for a model that was trained on columns without names. */
  get columns(): readonly string[] | null {
    return this.manifest.columns;
  }

  /** Real rows that the bundle carries. */
  get goldenRows(): Rows {
    return this.opened.golden.rows;
  }

  /** c of these rows, undefined for a model without conditions. */
  get goldenConditions(): Rows | undefined {
    return this.opened.golden.conditions;
  }

  /** `x` [N, D] as checked rows, with the mean of its column in place of NaN where the bundle's `missing` is "mean". */
  protected features(x: Table, name = "x"): Rows {
    if (this.manifest.missing === "error") return asRows(x, this.inputDim, name, this.columns);
    const mean = this.observation.mean;
    const filled = (row: ArrayLike<number>): number[] => Array.from(row, (value, j) => (Number.isNaN(value) ? mean[j] : value));
    const rows = x instanceof Rows ? Array.from({ length: x.length }, (_, i) => filled(x.row(i))) : x.map(filled);
    return asRows(rows, this.inputDim, name, this.columns);
  }

  /** c [rows, C] of a condition, undefined for a model without conditions; `InputError` as every method with one. */
  protected conditionsOf(condition: ConditionLike | null | undefined, rows: number): Rows | undefined {
    if (this.conditions.width) return this.conditions.ofRows(condition, rows);
    if (condition === undefined || condition === null) return undefined;
    throw new InputError("this bundle takes no condition: leave condition out, or train with --condition");
  }
}
