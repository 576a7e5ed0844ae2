/** Further vectors of each row beside the posterior mean: "metric" and "similarity", one graph each. */

import { Golden, requirePassed } from "./bundle/golden.js";
import { checkGraph } from "./bundle/graphCheck.js";
import { graphFile, metadataOf, viewPrecision, VIEWS, viewSpec } from "./bundle/manifest.js";
import type { Precision, View } from "./bundle/manifest.js";
import { readNpz } from "./bundle/npz.js";
import type { Bundle } from "./bundle/reading.js";
import { Network } from "./engine/network.js";
import type { Backend } from "./engine/network.js";
import { BundleError, InputError } from "./errors.js";
import { product, Rows } from "./rows.js";
import { shown } from "./text.js";

export type ViewName = "mu" | "metric" | "similarity";

/** The views of a bundle. A graph is opened, and replayed against its golden vectors, when it is first used. */
export class Views {
  private readonly bundle: Bundle;
  private readonly precision: Precision;
  private readonly backend: Backend;
  private readonly golden: Golden | null;
  private readonly networks = new Map<string, Promise<Network>>();
  /** The matrix [L, L] of `mu = (metric - offset) @ matrix`, undefined without that view. */
  readonly matrix: Float64Array | undefined;
  private readonly offset: Float64Array | undefined;

  constructor(bundle: Bundle, precision: Precision, backend: Backend, golden: Golden | null) {
    [this.bundle, this.precision, this.backend, this.golden] = [bundle, precision, backend, golden];
    const { manifest, files } = bundle;
    if (manifest.views.some((view) => view.name === "metric")) {
      const arrays = readNpz(files.get(VIEWS)!, VIEWS, { inverse: 2, offset: 1 });
      const latents = manifest.latent_dim;
      const [inverse, offset] = [arrays.get("inverse")!, arrays.get("offset")!];
      if (inverse.shape.join() !== `${latents},${latents}` || offset.shape.join() !== `${latents}`) {
        throw new BundleError(`${VIEWS} has another width than the manifest: export the bundle again`);
      }
      [this.matrix, this.offset] = [Float64Array.from(inverse.data), Float64Array.from(offset.data)];
    }
    for (const view of manifest.views) {
      const used = viewPrecision(view, precision);
      const name = graphFile(view.name, used);
      checkGraph(files.get(name)!, name, viewSpec(manifest.input_dim, view), used, metadataOf(manifest, view.name, used));
    }
  }

  /** Views beside "mu". */
  get names(): readonly string[] {
    return this.bundle.manifest.views.map((view) => view.name);
  }

  /** The graph of this view; `InputError` where the bundle lacks it, `BundleError` where its golden vectors differ. */
  network(name: string): Promise<Network> {
    const view = this.view(name);
    const opened = this.networks.get(name) ?? this.open(view);
    this.networks.set(name, opened);
    return opened;
  }

  /** Latents of rows of this view; `InputError` where there is no inverse. */
  inverse(name: string, rows: Rows): Rows {
    this.view(name);
    const { matrix, offset } = this;
    if (name !== "metric" || matrix === undefined || offset === undefined) {
      throw new InputError(`view is ${shown(name)}, which has no inverse: decode takes "mu" or "metric"`);
    }
    const moved = Float64Array.from(rows.data, (value, at) => value - offset[at % rows.width]);
    return new Rows(Float32Array.from(product(moved, matrix, rows.width, rows.width)), rows.width);
  }

  private view(name: string): View {
    const found = this.bundle.manifest.views.find((view) => view.name === name);
    if (found !== undefined) return found;
    const has = ["mu", ...this.names].join(", ");
    throw new InputError(`view is ${shown(name)}: this bundle has ${has}: choose one of them, or train and export again`);
  }

  private async open(view: View): Promise<Network> {
    const precision = viewPrecision(view, this.precision);
    const graph = this.bundle.files.get(graphFile(view.name, precision))!;
    const network = await Network.open(this.backend, graph, viewSpec(this.bundle.manifest.input_dim, view));
    if (this.golden !== null) {
      const embed = async (x: Rows): Promise<Rows> => (await network.run(x, [view.name]))[0];
      requirePassed(await this.golden.replayView(view.name, embed, precision));
    }
    return network;
  }
}
