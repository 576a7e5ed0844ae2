"""The subspace of latents with nearly all of mu's variance, and the prior in it.

The posterior means are rotated to their principal directions and the last ones are held at their mean (RAVE's fidelity,
Caillon and Esling 2021). N(0, I) is the same in every rotation. The rotation is folded into the weights by `folding.py`.
"""

import numpy as np
import torch

from aaptvae.density.prior import LatentPrior
from aaptvae.errors import InputError
from aaptvae.rows import Rows

from ..graph import Subspace
from ..proof import Reference


def find_subspace(reference: Reference, heldout: Rows, share: float) -> Subspace | None:
    """The fewest principal directions of mu [N, L] that together hold `share` of its variance; None if that is all of them.

    A rotation without dropped directions only loses: posterior covariances are diagonal along the trained latents alone.
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
    variance, directions = np.linalg.eigh(np.cov(mu.T).reshape(latents, latents))
    variance, directions = np.clip(variance[::-1], 0, None), directions[:, ::-1]
    held = np.cumsum(variance) / max(variance.sum(), np.finfo(np.float64).tiny)
    kept = min(int(np.searchsorted(held, share * (1 - 1e-12))) + 1, latents)
    if kept == latents:
        return None
    basis = directions[:, :kept].T
    # The sign of an eigenvector is arbitrary and depends on the library: the largest entry is made positive.
    basis = basis * np.sign(basis[np.arange(kept), np.abs(basis).argmax(axis=1)])[:, None]
    return Subspace(torch.from_numpy(basis.copy()), torch.from_numpy(centre))


def compact_prior(prior: LatentPrior, subspace: Subspace) -> LatentPrior:
    """The marginal of the fitted prior over the kept directions."""
    basis = subspace.basis.numpy()
    if not len(prior.weights):
        return LatentPrior.standard(len(basis))
    covariances = basis @ prior.factors @ prior.factors.transpose(0, 2, 1) @ basis.T
    return LatentPrior(prior.weights, prior.means @ basis.T, np.linalg.cholesky(covariances))
