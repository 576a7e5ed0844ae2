"""The trained model as a reference at one floating-point precision, and the rows on which graphs are compared with it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aaptvae.rows import Rows
from aaptvae_training import AAPTVAE
from aaptvae_training.model import losses

from ..graph import Subspace

BATCHES = (0, 1, 2, 7, 64, 257, 4096)

MOST_NUMBERS = 1 << 24  # of each kind of rows
LEAST_ROWS = 257

Outputs = Mapping[str, NDArray[np.floating[Any]]]  # by the names in the graph
Graph = Callable[[Rows], Outputs]


class Reference:
    """The trained model, not folded, at one floating-point precision, restricted to the kept latents if there is a subspace.

    Conditions stand in the last C columns of rows x [N, D + C] and of latents z [N, L + C].
    """

    def __init__(self, model: AAPTVAE, subspace: Subspace | None, dtype: torch.dtype) -> None:
        self.model = copy.deepcopy(model).eval().to("cpu", dtype)
        # The network was trained with the mean rounded to float32.
        self.model.scaler.mean = self.model.scaler.mean.float().to(dtype)
        self.subspace, self.dtype = subspace, dtype
        self.latent_dim = model.latent_dim if subspace is None else len(subspace.basis)
        self.condition_dim = model.condition_dim

    @torch.no_grad()
    def encode(self, x: Rows) -> Outputs:
        """Posterior parameters of `x` [N, D], named as the encoder's outputs."""
        mu, logvar = self.model.encode(self._tensor(x))
        if self.subspace is not None:
            mu = mu @ self.subspace.basis.to(self.dtype).T
            logvar = (logvar.exp() @ self.subspace.spread.to(self.dtype).T).log()
        return {"mu": mu.numpy(), "logvar": logvar.numpy()}

    @torch.no_grad()
    def decode(self, z: Rows) -> Outputs:
        """Reconstruction of `z` [N, L], named as the decoder's output."""
        rows = self._tensor(z)
        latents = rows[:, : self.latent_dim]
        if self.subspace is not None:
            latents = latents @ self.subspace.basis.to(self.dtype) + self.subspace.offset.to(self.dtype)
        return {"reconstruction": self.model.decode(self.model.given(latents, rows)).numpy()}

    def reconstruct(self, x: Rows) -> Outputs:
        """Reconstruction of `x` [N, D] from its posterior mean."""
        return self.decode(with_conditions(self.encode(x)["mu"], x, self.condition_dim))

    @torch.no_grad()
    def log_density(self, x: Rows, reconstruction: Rows) -> NDArray[np.floating[Any]]:
        """log p(x | z) per row, in nats."""
        target, mean, scaler = self._tensor(x), self._tensor(reconstruction), self.model.scaler
        if self.model.likelihood == "bernoulli":
            nll = losses.bernoulli_nll(mean, target[:, : self.model.input_dim])
        else:
            error = scaler.to_scaled(self.model.given(mean, target)) - scaler.to_scaled(target)
            nll = self.model.negative_log_likelihood(scaler.scaled_features(error))
        values: NDArray[np.floating[Any]] = -nll.numpy()
        return values

    def _tensor(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows).to(self.dtype)


@dataclass(frozen=True)
class Inputs:
    """Named kinds of input rows for both graphs, as many of each as in the largest of `BATCHES` that fits into memory."""

    features: dict[str, Rows]
    latents: dict[str, Rows]

    @classmethod
    def of(cls, reference: Reference, heldout: Rows) -> "Inputs":
        """Held-out, ordinary, zero, large (1e3 deviations) and subnormal rows for this model."""
        generator = np.random.default_rng(0)
        scaler = reference.model.scaler
        mean, scale = scaler.mean.double().numpy(), scaler.scale.double().numpy()
        rows = max(batch for batch in BATCHES if batch <= max(LEAST_ROWS, MOST_NUMBERS // len(mean)))
        noise = generator.standard_normal((rows, len(mean)))
        ordinary = generator.random(noise.shape) if reference.model.likelihood == "bernoulli" else mean + scale * noise
        real = np.resize(heldout, (rows, heldout.shape[1]))
        features: Outputs = {
            "held-out": real[:, : len(mean)],
            "ordinary": ordinary,
            "large": mean + 1e3 * scale * noise,
            "subnormal": 1e-40 * noise,
            "zero": 0 * noise,
        }
        noise = generator.standard_normal((rows, reference.latent_dim))
        # A sigmoid's result is at most 1 whatever its input: the rounding error of larger inputs would exceed the tolerance.
        large = 10.0 if reference.model.likelihood == "bernoulli" else 1e3
        latents = {"ordinary": noise, "large": large * noise, "subnormal": 1e-40 * noise, "zero": 0 * noise}
        c = real[:, len(mean) :]  # conditions of held-out rows, whatever the features and latents are
        return cls(_beside(rounded(features), c), _beside(rounded(latents), c))


def _beside(kinds: dict[str, Rows], c: Rows) -> dict[str, Rows]:
    return {kind: np.concatenate([rows, c], axis=1) for kind, rows in kinds.items()} if c.shape[1] else kinds


def with_conditions(z: NDArray[np.floating[Any]], x: Rows, conditions: int) -> Rows:
    """Latents [N, L] with the conditions of rows [N, D + C] beside them, as float32."""
    return np.concatenate([z.astype(np.float32), x[:, x.shape[1] - conditions :]], axis=1)


def rounded(arrays: Outputs) -> dict[str, Rows]:
    """The arrays as float32."""
    return {name: array.astype(np.float32) for name, array in arrays.items()}
