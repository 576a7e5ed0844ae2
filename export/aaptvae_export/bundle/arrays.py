"""The arrays of a bundle: prior, observation model and golden vectors."""

import numpy as np

from aaptvae.bundle.manifest import GOLDEN, LIKELIHOOD, PRIOR
from aaptvae.bundle.npz import write_npz
from aaptvae.rows import Rows
from aaptvae_training import Run

from ..proof import Gate, Inputs, rounded
from ..variants import compact_prior

_GOLDEN_ROWS = 8
_EXTREME_ROWS = 2  # of each kind


def write_arrays(run: Run, gate: Gate, heldout: Rows) -> dict[str, bytes]:
    """`prior.npz`, `likelihood.npz` and `golden.npz`."""
    prior = run.prior if gate.subspace is None else compact_prior(run.prior, gate.subspace)
    return {
        PRIOR: write_npz(prior.to_arrays()),
        LIKELIHOOD: write_npz(run.observation.to_arrays()),
        GOLDEN: _golden(gate, heldout),
    }


def _golden(gate: Gate, heldout: Rows) -> bytes:
    """Held-out and extreme rows with the outputs of the float64 model: torch's float32 can be less exact than a graph."""
    inputs = Inputs.of(gate.torch32, heldout)
    extreme = np.concatenate([rows[:_EXTREME_ROWS] for rows in inputs.features.values()])
    # The comparison sees only outputs: where logvar is clipped to its range, the error of the sum before is unknown.
    errors = np.abs(gate.torch32.encode(extreme)["logvar"] - gate.float64.encode(extreme)["logvar"]).max(axis=1)
    x = np.concatenate([heldout[:_GOLDEN_ROWS], extreme[errors < gate.tolerance / 10]])
    posterior = rounded(gate.float64.encode(x))
    z = np.concatenate([posterior["mu"], *(rows[:_EXTREME_ROWS] for rows in inputs.latents.values())])
    real = np.array([min(len(heldout), _GOLDEN_ROWS)])
    return write_npz({"x": x, **posterior, "z": z, **rounded(gate.float64.decode(z)), "real_rows": real})
