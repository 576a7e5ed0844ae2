"""The network, its feature scaler, its loss, and the same model for numpy arrays."""

from .as_numpy import Posterior, decode, encode, features_of, given, observation_of, posterior, scale_rows
from .fidelity import Fidelity
from .network import AAPTVAE, share_within_reach
from .objective import Objective
