/** The VAE of a bundle: encode, decode, sample, interpolate and score. */

import type { Bundle } from "./bundle/reading.js";
import type { ConditionLike } from "./conditions.js";
import type { PriorName } from "./densities.js";
import { expectedLogDensity, importanceWeighted, klDivergence, PAIRS, pValues, SAMPLES } from "./density/bounds.js";
import { normalRows, resolveSeed, Stream } from "./density/noise.js";
import type { Seed } from "./density/noise.js";
import type { Backend } from "./engine/network.js";
import { InputError } from "./errors.js";
import { walk } from "./interpolation.js";
import type { Curve } from "./interpolation.js";
import { LoadedBundle, open } from "./loaded.js";
import type { LoadOptions } from "./loaded.js";
import { asCount, asRows, numbered, refuseOverflow, Rows } from "./rows.js";
import type { Table } from "./rows.js";
import { shown } from "./text.js";
import type { ViewName } from "./views.js";

/** One figure per row: mean squared error of the standardised features, nats, and a share of held-out rows. */
export interface Scores {
  readonly reconstructionError: Float64Array;
  readonly klDivergence: Float64Array;
  readonly elbo: Float64Array;
  readonly pValue: Float64Array;
}

const MOST_DRAWS = 65_536; // of noise in memory at a time

/** Conditions of the rows, of a model that takes them; `InputError` for one that is missing or unknown. */
export interface Conditioned {
  readonly condition?: ConditionLike | null | undefined;
}

export interface SampleOptions extends Conditioned {
  /** Equal seeds give equal rows; null draws a fresh one. */
  readonly seed?: Seed;
  readonly prior?: PriorName;
  readonly temperature?: number;
  /** The first row of the seed's sequence. */
  readonly start?: number;
  /** Add the likelihood's own noise. */
  readonly observationNoise?: boolean;
  /** Add observation noise, and give every column the distribution of its training rows. */
  readonly asObserved?: boolean;
}

/** A bundle on `backend`, checked and compared with its golden vectors. */
export async function loadOn(backend: Backend, bundle: Bundle, options: LoadOptions): Promise<VAE> {
  const opened = await open(backend, bundle, options);
  const vae = new VAE(opened);
  if (options.golden ?? true) await vae.replay();
  return vae;
}

/**
 * A loaded bundle: rows in, float32 rows out.
 *
 * A model with conditions takes them as `condition`: an object of names with one value or one for each row, or c as rows.
 * Its densities are p(x | condition).
 */
export class VAE extends LoadedBundle {
  /** Posterior `mu` and `logvar` of features `x`. */
  async encode(x: Table, { condition }: Conditioned = {}): Promise<{ mu: Rows; logvar: Rows }> {
    const [rows, c] = this.inputs(x, condition);
    return this.posterior(rows, c);
  }

  /** Posterior mean of features `x`, or another view of them. */
  async embed(x: Table, { view = "mu", condition }: { view?: ViewName } & Conditioned = {}): Promise<Rows> {
    const network = view === "mu" ? this.opened.encoder : await this.views.network(view);
    const [rows, c] = this.inputs(x, condition);
    return (await network.run(rows, [view], c))[0];
  }

  /** Features of latents `z`, or of their "metric" view; `InputError` for a view without an inverse. */
  async decode(z: Table, { view = "mu", condition }: { view?: ViewName } & Conditioned = {}): Promise<Rows> {
    const given = asRows(z, this.latentDim, view === "mu" ? "z" : view);
    const latents = view === "mu" ? given : this.views.inverse(view, given);
    return this.decoded(latents, this.conditionsOf(condition, latents.length));
  }

  /** `decode(embed(x))`, deterministic. */
  async reconstruct(x: Table, { condition }: Conditioned = {}): Promise<Rows> {
    const [rows, c] = this.inputs(x, condition);
    return numbered(async () => this.decoded(await this.embed(rows, { condition: c }), c));
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
    const rows = new Rows(points, this.latentDim);
    refuseOverflow("logvar", spreads, 0, [rows]);
    return rows;
  }

  /** `n` new rows from the fitted or the standard prior; a seed defines an endless sequence of rows. */
  async sample(n: number, options: SampleOptions = {}): Promise<Rows> {
    const maps = options.asObserved ? this.opened.densities.maps() : undefined;
    const [seed, start] = [resolveSeed(options.seed), options.start ?? 0];
    const [z, c] = this.drawn(n, { ...options, seed });
    const rows = await this.decoded(z, c);
    if (maps === undefined && !options.observationNoise) return rows;
    const observed = this.observation.withNoise(rows, seed, start);
    maps?.apply(observed);
    return observed;
  }

  /** The latents that `sample` decodes. */
  sampleLatents(n: number, options: SampleOptions = {}): Rows {
    return this.drawn(n, options)[0];
  }

  /** From features `a` to `b` through latent space: `steps` + 1 rows a pair, pair i under the condition i. */
  async interpolate(
    a: Table,
    b: Table,
    { steps = 8, path = "linear", condition }: { steps?: number; path?: Curve } & Conditioned = {},
  ): Promise<Rows> {
    const [start, end] = [await this.embed(a, { condition }), await this.embed(b, { condition })];
    if (start.length !== end.length) {
      throw new InputError(`a has ${start.length} rows and b ${end.length}: expected equal numbers: pass pairs of rows`);
    }
    const points = walk(start, end, steps, path);
    const c = this.conditionsOf(condition, start.length);
    return numbered(() => this.decoded(points, c && walk(c, c, steps)), 0, "a or b", steps + 1);
  }

  /** Reconstruction error, KL divergence, ELBO and p-value of each row; p-values are NaN for bundles of schema 1. */
  async score(x: Table, { pairs = PAIRS, condition }: { pairs?: number } & Conditioned = {}): Promise<Scores> {
    asCount(pairs, "pairs");
    const [rows, c] = this.inputs(x, condition);
    const { mu, logvar } = await this.posterior(rows, c);
    const decode = (z: Rows): Promise<Rows> => numbered(() => this.decoded(z, c));
    const reconstructionError = this.observation.squaredError(rows, await decode(mu));
    const expected = await expectedLogDensity({ decode, observation: this.observation }, rows, [mu, logvar], pairs);
    const divergence = klDivergence(mu, logvar);
    const elbo = expected.map((value, i) => value - divergence[i]);
    return { reconstructionError, klDivergence: divergence, elbo, pValue: pValues(elbo, this.opened.densities.heldoutElbo) };
  }

  /**
   * Importance-weighted lower bound of log p(x) of each row in nats (Burda et al. 2016), tighter with more `samples`.
   *
   * Under N(0, I), the prior that was trained with, or the "fitted" one that samples are drawn from.
   */
  async logLikelihood(
    x: Table,
    { samples = SAMPLES, seed = null, prior = "standard", condition }: { samples?: number; seed?: Seed; prior?: PriorName } & Conditioned = {},
  ): Promise<Float64Array> {
    const density = this.opened.densities.priorCalled(prior);
    const draws = { seed: resolveSeed(seed), samples: asCount(samples, "samples") };
    const [rows, c] = this.inputs(x, condition);
    const { mu, logvar } = await this.posterior(rows, c);
    const [bound, step] = [new Float64Array(rows.length), Math.ceil(MOST_DRAWS / samples)];
    for (let start = 0; start < rows.length; start += step) {
      const [part, ...posterior] = [rows, mu, logvar].map((whole) => whole.slice(start, start + step));
      const given = c?.slice(start, start + step);
      const decode = (z: Rows): Promise<Rows> => numbered(() => this.decoded(z, given), start);
      const model = { decode, observation: this.observation };
      bound.set(await importanceWeighted(model, density.under(given), part, posterior as [Rows, Rows], { ...draws, start }), start);
    }
    return bound;
  }

  private inputs(x: Table, condition: ConditionLike | null | undefined): readonly [Rows, Rows | undefined] {
    const rows = this.features(x);
    return [rows, this.conditionsOf(condition, rows.length)];
  }

  private async posterior(x: Rows, c: Rows | undefined): Promise<{ mu: Rows; logvar: Rows }> {
    const [mu, logvar] = await this.opened.encoder.run(x, ["mu", "logvar"], c);
    return { mu, logvar };
  }

  private async decoded(z: Rows, c: Rows | undefined): Promise<Rows> {
    return (await this.opened.decoder.run(z, ["reconstruction"], c))[0];
  }

  /** Latents of new rows, and their conditions. */
  private drawn(n: number, { seed, prior = "fitted", temperature = 1, start = 0, condition }: SampleOptions): readonly [Rows, Rows | undefined] {
    if (!Number.isSafeInteger(n) || n < 0) {
      throw new InputError(`n is ${shown(n)}: expected the number of rows, an integer from 0 up`);
    }
    if (!Number.isSafeInteger(start) || start < 0) {
      throw new InputError(`start is ${shown(start)}: expected the number of a row, an integer from 0 up`);
    }
    const c = this.conditionsOf(condition, n);
    return [this.opened.densities.priorCalled(prior).under(c).draw(resolveSeed(seed), start, start + n, temperature), c];
  }
}
