/** What a bundle holds beside its graphs: the prior, the observation model, and how its samples are calibrated. */

import { weightOf } from "./bundle/graphCheck.js";
import { AXES, graphFile, LIKELIHOOD, MARGINALS, PRIOR } from "./bundle/manifest.js";
import { readNpz } from "./bundle/npz.js";
import type { Bundle } from "./bundle/reading.js";
import { Conditions } from "./conditions.js";
import { readReference } from "./density/bounds.js";
import { MARGINAL_ARRAYS, Marginals } from "./density/marginals.js";
import { basisElsewhere, OBSERVATION_ARRAYS, ObservationModel, OPTIONAL_ARRAYS } from "./density/observation.js";
import { LatentPrior, OPTIONAL_PRIOR_ARRAYS, PRIOR_ARRAYS } from "./density/prior.js";
import { BundleError, InputError } from "./errors.js";
import { shown } from "./text.js";

export type PriorName = "fitted" | "standard";

/** Densities of latents and of features, the ELBO of held-out rows, and the maps of samples to observed values. */
export class Densities {
  readonly prior: LatentPrior;
  readonly observation: ObservationModel;
  readonly heldoutElbo: Float64Array | undefined;
  private readonly marginals: Marginals | undefined;

  /** The densities of a bundle; `BundleError` for arrays that are invalid or have another width than the manifest. */
  constructor({ manifest, files }: Bundle) {
    this.prior = LatentPrior.fromArrays(readNpz(files.get(PRIOR)!, PRIOR, PRIOR_ARRAYS, OPTIONAL_PRIOR_ARRAYS));
    const arrays = readNpz(files.get(LIKELIHOOD)!, LIKELIHOOD, OBSERVATION_ARRAYS, OPTIONAL_ARRAYS);
    const axes = basisElsewhere(arrays);
    const restore = axes && weightOf(files.get(graphFile("decoder"))!, AXES, axes);
    this.observation = new ObservationModel(manifest.likelihood.kind, arrays, restore);
    this.heldoutElbo = readReference(arrays);
    const given = new Conditions(manifest.conditions).width;
    const found = [this.prior.latentDim, this.observation.mean.length, this.prior.gateWidth ?? given];
    if (found.join() !== [manifest.latent_dim, manifest.input_dim, given].join()) {
      throw new BundleError(`${PRIOR} or ${LIKELIHOOD} has another width than the manifest: export the bundle again`);
    }
    this.marginals = manifest.marginals ? new Marginals(readNpz(files.get(MARGINALS)!, MARGINALS, MARGINAL_ARRAYS)) : undefined;
    if (this.marginals !== undefined && this.marginals.width !== manifest.input_dim) {
      throw new BundleError(`${MARGINALS} has another width than the manifest: export the bundle again`);
    }
  }

  /** The fitted prior or N(0, I); `InputError` for another name. */
  priorCalled(name: PriorName): LatentPrior {
    if (name !== "fitted" && name !== "standard") {
      throw new InputError(`prior is ${shown(name)}: expected "fitted" or "standard"`);
    }
    return name === "fitted" ? this.prior : LatentPrior.standard(this.prior.latentDim);
  }

  /** The maps of samples to observed values; `InputError` for a bundle without them. */
  maps(): Marginals {
    if (this.marginals !== undefined) return this.marginals;
    throw new InputError(
      "asObserved is true: this bundle has no marginals.npz, as those of bernoulli models and of older versions: train and " +
        "export again, or sample with observationNoise",
    );
  }
}
