"""The arrays of a bundle: prior, observation model and golden vectors."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aaptvae.bundle.golden import CONDITIONS
from aaptvae.bundle.manifest import GOLDEN, LIKELIHOOD, MARGINALS, PRIOR, VIEWS
from aaptvae.bundle.npz import write_npz
from aaptvae.density.calibration import NAME as HELDOUT_ELBO
from aaptvae.rows import Arrays, Rows
from aaptvae_training import Run

from ..proof import Gate, Inputs, rounded, with_conditions
from .view_draft import ViewDraft

_GOLDEN_ROWS = 8
_EXTREME_ROWS = 2  # of each kind
_GOLDEN_NUMBERS = 1 << 15  # of features and of reconstructions
_LEAST_ROWS = 2


def write_arrays(run: Run, gate: Gate, heldout: Rows, views: Sequence[ViewDraft]) -> dict[str, bytes]:
    """`prior.npz`, `likelihood.npz`, `golden.npz` and, where there are such, `views.npz` and `marginals.npz`."""
    prior = run.prior if gate.subspace is None else run.prior.marginal(gate.subspace.basis.numpy())
    inverses = [view.inverse for view in views if view.inverse]
    reference = {HELDOUT_ELBO: np.array(run.heldout_elbo)} if run.heldout_elbo else {}
    marginals = {} if run.marginals is None else {MARGINALS: write_npz(run.marginals.to_arrays())}
    return {
        PRIOR: write_npz(prior.to_arrays()),
        LIKELIHOOD: write_npz(_likelihood(run) | reference),
        GOLDEN: _golden(gate, heldout, views),
        **({VIEWS: write_npz(inverses[0])} if inverses else {}),
        **marginals,
    }


def _likelihood(run: Run) -> Arrays:
    """Arrays of the observation model; where the decoder holds the axes, not twice, and in float32 where that is exact."""
    if not run.model.scaler.others:
        return run.observation.to_arrays()
    arrays = replace(run.observation, basis=None).to_arrays()
    short = {name: array.astype(np.float32) for name, array in arrays.items()}
    return {name: short[name] if np.array_equal(short[name], array) else array for name, array in arrays.items()}


def _golden(gate: Gate, heldout: Rows, views: Sequence[ViewDraft]) -> bytes:
    """Held-out and extreme rows with the outputs of the float64 model: torch's float32 can be less exact than a graph."""
    inputs = Inputs.of(gate.torch32, heldout)
    few = max(_LEAST_ROWS, _GOLDEN_NUMBERS // heldout.shape[1])  # of each kind
    extreme = np.concatenate([rows[:_EXTREME_ROWS] for rows in inputs.features.values()])
    # Only outputs are compared later, and a logvar that is clipped to its range does not show the rounding error of the sum
    # before: rows on which float32 is inexact are left out.
    errors = np.abs(gate.torch32.encode(extreme)["logvar"] - gate.float64.encode(extreme)["logvar"]).max(axis=1)
    x = np.concatenate([heldout[:_GOLDEN_ROWS], extreme[errors < gate.tolerance / 10]])[:few]
    posterior, conditions = rounded(gate.float64.encode(x)), gate.float64.condition_dim
    mu = with_conditions(posterior["mu"], x, conditions)
    z = np.concatenate([mu, *(rows[:_EXTREME_ROWS] for rows in inputs.latents.values())])[:few]
    real = np.array([min(len(heldout), _GOLDEN_ROWS, few)])
    arrays: dict[str, Rows] = {draft.view.name: draft.compute(x) for draft in views}
    arrays |= posterior | rounded(gate.float64.decode(z))
    return write_npz(_apart("x", x, conditions) | _apart("z", z, conditions) | arrays | {"real_rows": real})


def _apart(name: str, rows: Rows, conditions: int) -> Arrays:
    """Rows by `name`, and the conditions in their last columns by the name that golden vectors have for them."""
    width = rows.shape[1] - conditions
    return {name: rows[:, :width], CONDITIONS[name]: rows[:, width:]} if conditions else {name: rows}
