"""The objective of training: the negative ELBO, plus squared error while reconstructions are worse than PCA's."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from . import losses
from .fidelity import Fidelity
from .network import AAPTVAE

PASS_ROWS = 4096  # rows in one pass of the decoder, at most


class Objective(nn.Module):
    """Scaled rows [n, D + C] to the objective and, per row and without weights, its two parts in nats.

    A Student-t likelihood gives large errors little weight. Factors `fidelity` [U] above 0 add the squared error in each of U
    units, over twice the variance that pPCA leaves in a direction, as in the likelihood of pPCA. The trainer raises the factors
    while reconstructions of validation rows have a squared error above what `goal` tolerates.
    """

    def __init__(self, model: AAPTVAE, free_bits: float = 0.0, goal: Fidelity | None = None) -> None:
        super().__init__()
        self.model, self.free_bits, self.goal = model, free_bits, goal or Fidelity()
        self.fidelity: Sequence[float] = (0.0,) * len(self.goal.tolerated)

    def forward(self, x: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
        """The mean objective [], and -log p(x|z) [n] and KL [n] for the record."""
        mu, logvar = self.model.posterior(x)
        mu, logvar = mu.float(), logvar.float()  # exp and squares need more than bf16
        mean = self.model.observation_mean(self.model.given(self.model.reparameterize(mu, logvar), x))
        nll = self._negative_log_likelihood(x, mean)
        kl = losses.kl_divergence(mu, logvar)
        objective = nll.mean() + beta * losses.free_bits(kl, self.free_bits).mean()
        if any(self.fidelity):
            difference = mean.float() - self.model.scaler.scaled_features(x)
            objective = objective + self.goal.penalty(self.model.scaler, difference, self.fidelity)
        return objective, nll, kl.sum(dim=1)

    def _negative_log_likelihood(self, x: Tensor, mean: Tensor) -> Tensor:
        if self.model.likelihood == "bernoulli":
            # The target is raw and in [0, 1]; unscaling it may step outside by a rounding.
            return losses.bernoulli_nll(mean.float(), self.model.scaler.to_raw(x).clamp(0, 1))
        return self.model.negative_log_likelihood(mean.float() - self.model.scaler.scaled_features(x))

    def bound(self, x: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """-log p(x|z) averaged over `draws` of every posterior, and KL: [n, D] -> [n], [n].

        The posterior is computed once and the draws are decoded `PASS_ROWS` rows at a time.
        """
        mu, logvar = (part.float() for part in self.model.posterior(x))
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        at_once = max(1, PASS_ROWS // max(1, len(x)))
        for first in range(0, draws, at_once):
            z = torch.cat([self.model.reparameterize(mu, logvar) for _ in range(first, min(first + at_once, draws))])
            rows = x.repeat(len(z) // max(1, len(x)), 1)
            nll = self._negative_log_likelihood(rows, self.model.observation_mean(self.model.given(z, rows)))
            total += nll.double().view(-1, len(x)).sum(dim=0)
        return total / draws, losses.kl_divergence(mu, logvar).sum(dim=1).double()

    def squared_errors(self, x: Tensor) -> Tensor:
        """Squared error of reconstructions from the posterior mean, in each of the goal's units: [n, D + C] -> [U, n]."""
        mean = self.model.observation_mean(self.model.given(self.model.posterior(x)[0], x))
        return self.goal.errors(self.model.scaler, mean - self.model.scaler.scaled_features(x))
