"""Which directions of the latent space carry something, and the prior and the losses of keeping only those.

The posterior means are rotated to their principal directions and the last ones are held at their mean (RAVE's fidelity,
Caillon and Esling 2021). N(0, I) is the same in every rotation. Folding the rotation into the weights is `folding.py`.
"""

import numpy as np
import torch

from aaptvae.density.prior import LatentPrior
from aaptvae.errors import InputError

from ..graph.folding import Subspace
from ..proof.gate import Reference, Rows


def find_subspace(reference: Reference, heldout: Rows, share: float) -> Subspace | None:
    """The fewest principal directions of mu [N, L] that together hold `share` of its variance; None if that is all of them.

    A rotation alone would only cost: posteriors have independent latents along the directions that were trained.
    `InputError` if it cannot be told.
    """
    mu = reference.encode(heldout)["mu"].astype(np.float64)
    rows, latents = mu.shape
    if rows < 2 * latents:
        raise InputError(
            f"the run has {rows} held-out rows: compact expects {2 * latents} or more to tell which of {latents} "
            "latents carry something: train on more rows or with fewer latents"
        )
    centre = mu.mean(axis=0)
    variance, directions = np.linalg.eigh(np.cov(mu.T).reshape(latents, latents))
    variance, directions = np.clip(variance[::-1], 0, None), directions[:, ::-1]
    held = np.cumsum(variance) / max(variance.sum(), np.finfo(np.float64).tiny)
    kept = min(int(np.searchsorted(held, share * (1 - 1e-12))) + 1, latents)
    if kept == latents:
        return None
    basis = directions[:, :kept].T
    # An eigenvector's sign is the library's whim: the largest entry is positive here.
    basis = basis * np.sign(basis[np.arange(kept), np.abs(basis).argmax(axis=1)])[:, None]
    return Subspace(torch.from_numpy(basis.copy()), torch.from_numpy(centre))


def compact_prior(prior: LatentPrior, subspace: Subspace) -> LatentPrior:
    """The marginal of the fitted prior over the kept directions."""
    basis = subspace.basis.numpy()
    if not len(prior.weights):
        return LatentPrior.standard(len(basis))
    covariances = basis @ prior.factors @ prior.factors.transpose(0, 2, 1) @ basis.T
    return LatentPrior(prior.weights, prior.means @ basis.T, np.linalg.cholesky(covariances))
