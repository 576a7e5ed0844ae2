"""The subspace of latents with nearly all of mu's variance.

The posterior means are rotated to their principal directions and the last ones are held at their mean (RAVE's fidelity,
Caillon and Esling 2021). N(0, I) is the same in every rotation. The rotation is folded into the weights by `folding.py`.
"""

import numpy as np
import torch

from aaptvae.errors import InputError
from aaptvae.rows import Rows
from aaptvae_training.linear.ppca import principal_axes

from ..graph import Subspace
from ..proof import Reference


def find_subspace(reference: Reference, heldout: Rows, share: float) -> Subspace | None:
    """The fewest principal directions of mu [N, L] that together hold `share` of its variance; None if that is all of them.

    A rotation alone has a cost and no gain: posterior covariances are diagonal along the trained latents only.
    `InputError` for fewer than 2 L held-out rows.
    """
    mu = reference.encode(heldout)["mu"].astype(np.float64)
    rows, latents = mu.shape
    if rows < 2 * latents:
        raise InputError(
            f"the run has {rows} held-out rows: compact expects {2 * latents} or more for the covariance of "
            f"{latents} latents: train on more rows or with fewer latents"
        )
    centre = mu.mean(axis=0)
    variance, directions = principal_axes(np.cov(mu.T).reshape(latents, latents))
    held = np.cumsum(variance) / max(variance.sum(), np.finfo(np.float64).tiny)
    kept = min(int(np.searchsorted(held, share * (1 - 1e-12))) + 1, latents)
    if kept == latents:
        return None
    return Subspace(torch.from_numpy(directions[:, :kept].T.copy()), torch.from_numpy(centre))
