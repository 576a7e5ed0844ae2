/** The VAE of a bundle: encode, decode, sample, interpolate and score. */

import { Golden, requirePassed } from "./bundle/golden.js";
import type { Replay } from "./bundle/golden.js";
import { checkGraph, weightOf } from "./bundle/graphCheck.js";
import { AXES, GOLDEN, graphFile, LIKELIHOOD, MARGINALS, metadataOf, precisionsOf, PRIOR } from "./bundle/manifest.js";
import type { Manifest, Precision } from "./bundle/manifest.js";
import { readNpz } from "./bundle/npz.js";
import { readBundle } from "./bundle/reading.js";
import type { Bundle } from "./bundle/reading.js";
import type { Place } from "./bundle/sources.js";
import { expectedLogDensity, importanceWeighted, klDivergence, PAIRS, pValues, readReference, SAMPLES } from "./density/bounds.js";
import { MARGINAL_ARRAYS, Marginals } from "./density/marginals.js";
import { normalRows, resolveSeed, Stream } from "./density/noise.js";
import type { Seed } from "./density/noise.js";
import { basisElsewhere, OBSERVATION_ARRAYS, ObservationModel, OPTIONAL_ARRAYS } from "./density/observation.js";
import { LatentPrior, PRIOR_ARRAYS } from "./density/prior.js";
import { Network } from "./engine/network.js";
import type { Backend } from "./engine/network.js";
import { BundleError, InputError } from "./errors.js";
import { walk } from "./interpolation.js";
import type { Curve } from "./interpolation.js";
import { asCount, asRows, Rows } from "./rows.js";
import type { Table } from "./rows.js";
import { shown } from "./text.js";
import { Views } from "./views.js";
import type { ViewName } from "./views.js";

/** One figure per row: mean squared error of the standardised features, nats, and a share of held-out rows. */
export interface Scores {
  readonly reconstructionError: Float64Array;
  readonly klDivergence: Float64Array;
  readonly elbo: Float64Array;
  readonly pValue: Float64Array;
}

export interface LoadOptions {
  /** The digest that the bundle must have. */
  readonly sha256?: string;
  readonly precision?: Precision;
  /** false skips the comparison with the golden vectors. */
  readonly golden?: boolean;
}

const MOST_DRAWS = 65_536; // of noise in memory at a time

export type PriorName = "fitted" | "standard";

export interface SampleOptions {
  /** Equal seeds give equal rows; null draws a fresh one. */
  readonly seed?: Seed;
  readonly prior?: PriorName;
  readonly temperature?: number;
  /** The first row of the seed's sequence. */
  readonly start?: number;
  /** Add observation noise, and give every column the distribution of its training rows. */
  readonly asObserved?: boolean;
}

/** Load a bundle on `backend`, check it, and compare it with its golden vectors. */
export async function loadOn(backend: Backend, place: Place, options: LoadOptions = {}): Promise<VAE> {
  return VAE.open(backend, await readBundle(place, options.sha256), options);
}

/** What a bundle's files hold, checked. */
interface Parts {
  readonly prior: LatentPrior;
  readonly observation: ObservationModel;
  readonly reference: Float64Array | undefined;
  readonly golden: Golden;
  readonly marginals: Marginals | undefined;
}

/** A loaded bundle: rows in, float32 rows out. */
export class VAE {
  /** Differences from the golden vectors on this machine; empty where they were not compared. */
  replays: readonly Replay[] = [];
  readonly precision: Precision;
  readonly prior: LatentPrior;
  readonly observation: ObservationModel;
  readonly views: Views;
  private readonly bundle: Bundle;
  private readonly parts: Parts;
  private readonly encoder: Network;
  private readonly decoder: Network;

  private constructor(bundle: Bundle, precision: Precision, parts: Parts, views: Views, networks: readonly [Network, Network]) {
    [this.bundle, this.precision, this.parts, this.views] = [bundle, precision, parts, views];
    [this.prior, this.observation, [this.encoder, this.decoder]] = [parts.prior, parts.observation, networks];
  }

  static async open(backend: Backend, bundle: Bundle, { precision = "fp32", golden = true }: LoadOptions): Promise<VAE> {
    const { manifest, files } = bundle;
    const precisions = precisionsOf(manifest);
    if (!precisions.includes(precision)) {
      throw new InputError(
        `precision is ${shown(precision)}: expected ${precisions.join(", ")}, as in this bundle: choose one, or ` +
          `export with --precision ${precision}`,
      );
    }
    const parts = readParts(bundle);
    const graphs = ["encoder", "decoder"] as const;
    for (const graph of graphs) {
      // Both are checked before onnxruntime parses one.
      const name = graphFile(graph, precision);
      checkGraph(files.get(name)!, name, manifest[graph], precision, metadataOf(manifest, graph, precision));
    }
    const views = new Views(bundle, precision, backend, golden ? parts.golden : null);
    const [encoder, decoder] = graphs.map((graph) => Network.open(backend, files.get(graphFile(graph, precision))!, manifest[graph]));
    const vae = new VAE(bundle, precision, parts, views, [await encoder, await decoder]);
    if (golden) await vae.replay();
    return vae;
  }

  private async replay(): Promise<void> {
    this.replays = await this.parts.golden.replay(
      (x) => this.encoder.run(x, ["mu", "logvar"]),
      async (z) => (await this.decoder.run(z, ["reconstruction"]))[0],
      this.precision,
    );
    this.replays.forEach(requirePassed);
  }

  get manifest(): Manifest {
    return this.bundle.manifest;
  }

  /** SHA-256 of the bundle's manifest, for `load(..., {sha256})`. */
  get digest(): string {
    return this.bundle.digest;
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
    return this.parts.golden.rows;
  }

  /** Posterior `mu` and `logvar` of features `x`. */
  async encode(x: Table): Promise<{ mu: Rows; logvar: Rows }> {
    const [mu, logvar] = await this.encoder.run(this.features(x), ["mu", "logvar"]);
    return { mu, logvar };
  }

  /** Posterior mean of features `x`, or another view of them. */
  async embed(x: Table, { view = "mu" }: { view?: ViewName } = {}): Promise<Rows> {
    const network = view === "mu" ? this.encoder : await this.views.network(view);
    return (await network.run(this.features(x), [view]))[0];
  }

  /** Features of latents `z`, or of their "metric" view; `InputError` for a view without an inverse. */
  async decode(z: Table, { view = "mu" }: { view?: ViewName } = {}): Promise<Rows> {
    const latents = view === "mu" ? z : this.views.inverse(view, asRows(z, this.latentDim, view));
    return (await this.decoder.run(latents, ["reconstruction"]))[0];
  }

  /** `decode(embed(x))`, deterministic. */
  async reconstruct(x: Table): Promise<Rows> {
    return this.decode(await this.embed(x));
  }

  /** `mu + exp(logvar / 2) * noise`; row i of the noise depends on `seed` and i alone. */
  reparameterize(mu: Table, logvar: Table, { seed = null }: { seed?: Seed } = {}): Rows {
    const [means, spreads] = [asRows(mu, this.latentDim, "mu"), asRows(logvar, this.latentDim, "logvar")];
    if (means.length !== spreads.length) {
      throw new InputError(
        `mu has ${means.length} rows and logvar ${spreads.length}: expected equal numbers: pass pairs of rows`,
      );
    }
    const noise = normalRows(resolveSeed(seed), 0, means.length, this.latentDim, Stream.LATENT);
    const points = means.data.map((mean, at) => mean + Math.fround(Math.exp(spreads.data[at] / 2)) * noise.data[at]);
    return new Rows(points, this.latentDim);
  }

  /** `n` new rows from the fitted or the standard prior; a seed defines an endless sequence of rows. */
  async sample(n: number, options: SampleOptions = {}): Promise<Rows> {
    if (!options.asObserved) return this.decode(this.sampleLatents(n, options));
    if (this.parts.marginals === undefined) {
      throw new InputError(
        "asObserved is true: this bundle has no marginals.npz, which exports of before and bernoulli models lack: train and " +
          "export again, or sample without it",
      );
    }
    const seed = resolveSeed(options.seed);
    const rows = await this.decode(this.sampleLatents(n, { ...options, seed }));
    const observed = this.observation.withNoise(rows, seed, options.start ?? 0);
    this.parts.marginals.apply(observed);
    return observed;
  }

  /** The latents that `sample` decodes. */
  sampleLatents(n: number, { seed = null, prior = "fitted", temperature = 1, start = 0 }: SampleOptions = {}): Rows {
    if (!Number.isSafeInteger(n) || n < 0) {
      throw new InputError(`n is ${shown(n)}: expected the number of rows, an integer from 0 up`);
    }
    if (!Number.isSafeInteger(start) || start < 0) {
      throw new InputError(`start is ${shown(start)}: expected the number of a row, an integer from 0 up`);
    }
    return this.density(prior).draw(resolveSeed(seed), start, start + n, temperature);
  }

  /** From features `a` to `b` through latent space: `steps` + 1 rows a pair. */
  async interpolate(a: Table, b: Table, { steps = 8, path = "linear" }: { steps?: number; path?: Curve } = {}): Promise<Rows> {
    const [start, end] = [await this.embed(a), await this.embed(b)];
    if (start.length !== end.length) {
      throw new InputError(`a has ${start.length} rows and b ${end.length}: expected equal numbers: pass pairs of rows`);
    }
    return this.decode(walk(start, end, steps, path));
  }

  /** Reconstruction error, KL divergence, ELBO and p-value of each row; p-values are NaN for bundles of schema 1. */
  async score(x: Table, { pairs = PAIRS }: { pairs?: number } = {}): Promise<Scores> {
    asCount(pairs, "pairs");
    const rows = asRows(this.features(x), this.inputDim);
    const { mu, logvar } = await this.encode(rows);
    const reconstructionError = this.observation.squaredError(rows, await this.decode(mu));
    const model = { decode: (z: Rows) => this.decode(z), observation: this.observation };
    const expected = await expectedLogDensity(model, rows, [mu, logvar], pairs);
    const divergence = klDivergence(mu, logvar);
    const elbo = expected.map((value, i) => value - divergence[i]);
    return { reconstructionError, klDivergence: divergence, elbo, pValue: pValues(elbo, this.parts.reference) };
  }

  /**
   * Importance-weighted lower bound of log p(x) of each row in nats (Burda et al. 2016), tighter with more `samples`.
   *
   * Under N(0, I), the prior that was trained with, or the "fitted" one that samples are drawn from.
   */
  async logLikelihood(
    x: Table,
    { samples = SAMPLES, seed = null, prior = "standard" }: { samples?: number; seed?: Seed; prior?: PriorName } = {},
  ): Promise<Float64Array> {
    const [density, draws] = [this.density(prior), { seed: resolveSeed(seed), samples: asCount(samples, "samples") }];
    const rows = asRows(this.features(x), this.inputDim);
    const { mu, logvar } = await this.encode(rows);
    const model = { decode: (z: Rows) => this.decode(z), observation: this.observation };
    const [bound, step] = [new Float64Array(rows.length), Math.ceil(MOST_DRAWS / samples)];
    for (let start = 0; start < rows.length; start += step) {
      const [part, ...posterior] = [rows, mu, logvar].map((whole) => whole.slice(start, start + step));
      bound.set(await importanceWeighted(model, density, part, posterior as [Rows, Rows], { ...draws, start }), start);
    }
    return bound;
  }

  private density(prior: PriorName): LatentPrior {
    if (prior !== "fitted" && prior !== "standard") {
      throw new InputError(`prior is ${shown(prior)}: expected "fitted" or "standard"`);
    }
    return prior === "fitted" ? this.prior : LatentPrior.standard(this.latentDim);
  }

  /** `x`, with the mean of its column in place of NaN where the bundle's `missing` is "mean". */
  private features(x: Table): Table {
    if (this.manifest.missing === "error") return x;
    const mean = this.observation.mean;
    const filled = (row: ArrayLike<number>): number[] => Array.from(row, (value, j) => (Number.isNaN(value) ? mean[j] : value));
    return x instanceof Rows ? Array.from({ length: x.length }, (_, i) => filled(x.row(i))) : x.map(filled);
  }
}

function readParts({ manifest, files }: Bundle): Parts {
  const prior = LatentPrior.fromArrays(readNpz(files.get(PRIOR)!, PRIOR, PRIOR_ARRAYS));
  const arrays = readNpz(files.get(LIKELIHOOD)!, LIKELIHOOD, OBSERVATION_ARRAYS, OPTIONAL_ARRAYS);
  const axes = basisElsewhere(arrays);
  const restore = axes && weightOf(files.get(graphFile("decoder"))!, AXES, axes);
  const observation = new ObservationModel(manifest.likelihood.kind, arrays, restore);
  const reference = readReference(arrays);
  if (prior.latentDim !== manifest.latent_dim || observation.mean.length !== manifest.input_dim) {
    throw new BundleError(`${PRIOR} or ${LIKELIHOOD} has another width than the manifest: export the bundle again`);
  }
  const marginals = manifest.marginals ? new Marginals(readNpz(files.get(MARGINALS)!, MARGINALS, MARGINAL_ARRAYS)) : undefined;
  if (marginals !== undefined && marginals.width !== manifest.input_dim) {
    throw new BundleError(`${MARGINALS} has another width than the manifest: export the bundle again`);
  }
  return { prior, observation, reference, marginals, golden: Golden.read(files.get(GOLDEN)!, manifest, observation.unit) };
}
