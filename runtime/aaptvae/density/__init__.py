"""Densities in numpy: the observation model, the latent prior, bounds of log p(x), and seeded noise."""

from .bounds import PAIRS, SAMPLES, LikelihoodBounds, importance_draws
from .calibration import NAME as HELDOUT_ELBO
from .calibration import p_values, read_reference, reference_of
from .divergence import kl_divergence
from .marginals import ARRAYS as MARGINAL_ARRAYS
from .marginals import Marginals
from .noise import Stream, normal_rows, reparameterized, resolve_seed
from .observation import ARRAYS as OBSERVATION_ARRAYS
from .observation import LOG_2PI, ObservationModel
from .observation import OPTIONAL as OPTIONAL_OBSERVATION_ARRAYS
from .prior import ARRAYS as PRIOR_ARRAYS
from .prior import MAX_TEMPERATURE, LatentPrior
from .prior import OPTIONAL as OPTIONAL_PRIOR_ARRAYS

__all__ = [
    "HELDOUT_ELBO",
    "LOG_2PI",
    "MARGINAL_ARRAYS",
    "MAX_TEMPERATURE",
    "OBSERVATION_ARRAYS",
    "OPTIONAL_OBSERVATION_ARRAYS",
    "OPTIONAL_PRIOR_ARRAYS",
    "PAIRS",
    "PRIOR_ARRAYS",
    "SAMPLES",
    "LatentPrior",
    "LikelihoodBounds",
    "Marginals",
    "ObservationModel",
    "Stream",
    "importance_draws",
    "kl_divergence",
    "normal_rows",
    "p_values",
    "read_reference",
    "reference_of",
    "reparameterized",
    "resolve_seed",
]
