"""After training: a linear correction of the decoder, so that reconstructions are never worse than PCA's.

A likelihood with heavy tails forgives large rows, which squared error does not; ordinary least squares of what
`decode(mu)` leaves over on `mu` gives that back. As little of it is added as the validation rows ask for.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from .features import Rows
from .model import AAPTVAE, last_layer

Matrix = NDArray[np.float64]

AMOUNTS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
RIDGE = 1e-3  # of the variance of mu


@torch.no_grad()
def polish(model: AAPTVAE, train: Rows, validation: Rows, target: float) -> float:
    """Correct `model` in place with scaled rows [N, D] until R2 of validation rows reaches `target`; the amount used."""
    if model.decoder_skip is None or model.likelihood == "bernoulli":
        return 0.0
    weight, bias = _correction(model, torch.from_numpy(train))
    output = last_layer(model.decoder)
    original = copy.deepcopy(model.state_dict())
    scores = []
    for amount in AMOUNTS:
        model.load_state_dict(original)
        model.decoder_skip.weight.add_(amount * weight)
        output.bias.add_(amount * bias)
        scores.append(_r2(model, torch.from_numpy(validation)))
        if scores[-1] >= target:
            return amount
    best = AMOUNTS[int(np.argmax(scores))]
    model.load_state_dict(original)
    model.decoder_skip.weight.add_(best * weight)
    output.bias.add_(best * bias)
    return best


def _correction(model: AAPTVAE, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ridge regression of the residuals on posterior means: weight [D, L], bias [D]."""
    mu, _ = model.posterior(rows)
    residual = (rows - model.observation_mean(mu)).double()
    centre, mean = mu.double().mean(dim=0), residual.mean(dim=0)
    latents = mu.double() - centre
    gram = latents.T @ latents
    gram += RIDGE * torch.diag(gram.diagonal().clamp(min=1e-12))
    weight = torch.linalg.solve(gram, latents.T @ (residual - mean)).T
    return weight.float(), (mean - weight @ centre).float()


def _r2(model: AAPTVAE, rows: torch.Tensor) -> float:
    mu, _ = model.posterior(rows)
    x = model.scaler.to_standardised(rows.double())
    residual = x - model.scaler.to_standardised(model.observation_mean(mu).double())
    return 1 - float(residual.square().sum() / (x - x.mean(dim=0)).square().sum().clamp(min=1e-300))
