"""The densities of a bundle, beside its graphs: the prior, the observation model, and maps of samples to observed values."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from .bundle import Bundle, Manifest, graph_file
from .bundle.graph_check import weight_of
from .bundle.manifest import AXES, LIKELIHOOD, MARGINALS, PRIOR
from .bundle.npz import read_npz
from .density import (
    MARGINAL_ARRAYS,
    OBSERVATION_ARRAYS,
    OPTIONAL_OBSERVATION_ARRAYS,
    OPTIONAL_PRIOR_ARRAYS,
    PRIOR_ARRAYS,
    LatentPrior,
    Marginals,
    ObservationModel,
    read_reference,
)
from .errors import BundleError, InputError
from .rows import Nats

PriorName = Literal["fitted", "standard"]


class Densities(NamedTuple):
    """Densities of latents and of features, the ELBO of held-out rows, and the maps of samples to observed values."""

    prior: LatentPrior
    observation: ObservationModel
    heldout_elbo: Nats | None
    marginals: Marginals | None

    def prior_called(self, name: PriorName) -> LatentPrior:
        """The fitted prior or N(0, I); `InputError` for another name."""
        if name not in ("fitted", "standard"):
            raise InputError(f'prior is {name!r}: expected "fitted" or "standard"')
        return self.prior if name == "fitted" else LatentPrior.standard(self.prior.latent_dim)

    def maps(self) -> Marginals:
        """The maps of samples to observed values; `InputError` for a bundle without them."""
        if self.marginals is None:
            raise InputError(
                "as_observed is true: this bundle has no marginals.npz, as those of bernoulli models and of older versions: "
                "train and export again, or sample with observation_noise"
            )
        return self.marginals


def read_densities(source: Bundle) -> Densities:
    """The densities of a bundle; `BundleError` for arrays that are invalid or have another width than the manifest."""
    manifest, files = source.manifest, source.files
    prior = LatentPrior.from_arrays(read_npz(files[PRIOR], PRIOR, PRIOR_ARRAYS, OPTIONAL_PRIOR_ARRAYS))
    observation, heldout_elbo = read_observation(manifest, files)
    gate = manifest.condition_dim if prior.gate is None else prior.gate.shape[1]
    widths = manifest.latent_dim, manifest.input_dim, manifest.condition_dim
    if (prior.latent_dim, len(observation.mean), gate) != widths:
        raise BundleError(f"{PRIOR} or {LIKELIHOOD} has another width than the manifest: export the bundle again")
    return Densities(prior, observation, heldout_elbo, _marginals(source))


def read_observation(manifest: Manifest, files: Mapping[str, bytes]) -> tuple[ObservationModel, Nats | None]:
    """The observation model, whose axes the decoder may hold, and the ELBO of held-out rows."""
    arrays = read_npz(files[LIKELIHOOD], LIKELIHOOD, OBSERVATION_ARRAYS, OPTIONAL_OBSERVATION_ARRAYS)
    restore = weight_of(files[graph_file("decoder")], AXES, ObservationModel.basis_elsewhere(arrays))
    return ObservationModel.from_arrays(manifest.likelihood.kind, arrays, restore), read_reference(arrays)


def _marginals(source: Bundle) -> Marginals | None:
    if not source.manifest.marginals:
        return None
    marginals = Marginals.from_arrays(read_npz(source.files[MARGINALS], MARGINALS, MARGINAL_ARRAYS))
    if len(marginals.counts) != source.manifest.input_dim:
        raise BundleError(f"{MARGINALS} has another width than the manifest: export the bundle again")
    return marginals
