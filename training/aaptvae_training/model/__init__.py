"""The network, its feature scaler, its loss, and the same model for numpy arrays."""

from .as_numpy import Posterior, decode, encode, features_of, given, observation_of, posterior, scale_rows
from .network import AAPTVAE, share_within_reach
from .objective import MARGIN, Objective
from .scaler import FeatureScaler

__all__ = [
    "AAPTVAE",
    "MARGIN",
    "FeatureScaler",
    "Objective",
    "Posterior",
    "decode",
    "encode",
    "features_of",
    "given",
    "observation_of",
    "posterior",
    "scale_rows",
    "share_within_reach",
]
