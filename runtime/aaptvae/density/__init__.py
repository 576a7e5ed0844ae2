"""Densities in numpy: the observation model, the latent prior, bounds of log p(x), and seeded noise."""

from .bounds import PAIRS, SAMPLES, LikelihoodBounds, importance_draws
from .calibration import p_values, read_reference
from .divergence import kl_divergence
from .marginals import ARRAYS as MARGINAL_ARRAYS
from .marginals import Marginals
from .noise import reparameterized, resolve_seed
from .observation import ARRAYS as OBSERVATION_ARRAYS
from .observation import OPTIONAL as OPTIONAL_OBSERVATION_ARRAYS
from .observation import ObservationModel
from .prior import ARRAYS as PRIOR_ARRAYS
from .prior import MAX_TEMPERATURE, LatentPrior
from .prior import OPTIONAL as OPTIONAL_PRIOR_ARRAYS
