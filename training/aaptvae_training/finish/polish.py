"""After training: a linear correction of the decoder, so that validation rows are reconstructed no worse than by PCA.

A likelihood with heavy tails gives little weight to rows with large errors; R2 gives them much. The correction is a ridge
regression of the residuals x - decode(mu) on mu, times the smallest amount with which validation rows reach the target.
"""

import copy
from collections.abc import Sequence

import torch

from aaptvae.rows import Rows

from ..model.network import AAPTVAE, last_layer
from ..model.objective import Objective

AMOUNTS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
RIDGE = 1e-3  # of the variance of mu
MOST_NATS = 0.005  # per feature: largest loss of validation ELBO through a correction


@torch.no_grad()
def polish(model: AAPTVAE, train: Rows, validation: Rows, target: float, amounts: Sequence[float] = AMOUNTS) -> float:
    """Correct `model` in place with scaled rows [N, D] until R2 of validation rows reaches `target`; returns the amount used.

    An amount that lowers the validation ELBO by more than `MOST_NATS` per feature ends the search and is not used.
    """
    if model.decoder_skip is None or model.likelihood == "bernoulli":
        return 0.0
    weight, bias = _correction(model, torch.from_numpy(train))
    original, rows = copy.deepcopy(model.state_dict()), torch.from_numpy(validation)
    least = _elbo(model, rows) - MOST_NATS * model.input_dim
    scores: dict[float, float] = {}
    for amount in amounts:
        _correct(model, original, amount * weight, amount * bias)
        if amount and _elbo(model, rows) < least:
            break
        scores[amount] = _r2(model, rows)
        if scores[amount] >= target:
            break
    best = max(scores, key=lambda amount: scores[amount])
    _correct(model, original, best * weight, best * bias)
    return best


def _correct(model: AAPTVAE, original: dict[str, torch.Tensor], weight: torch.Tensor, bias: torch.Tensor) -> None:
    model.load_state_dict(original)
    if model.decoder_skip is not None:
        model.decoder_skip.weight.add_(weight)
        last_layer(model.decoder).bias.add_(bias)


def _elbo(model: AAPTVAE, rows: torch.Tensor) -> float:
    """ELBO per row, with the same noise every time."""
    torch.manual_seed(0)
    return -float(Objective(model)(rows, 1.0)[0])


def _correction(model: AAPTVAE, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ridge regression of the residuals on posterior means: weight [D, L], bias [D]."""
    mu, _ = model.posterior(rows)
    residual = (model.scaler.scaled_features(rows) - model.observation_mean(model.given(mu, rows))).double()
    residual = residual[:, : model.scaler.inner]
    centre, mean = mu.double().mean(dim=0), residual.mean(dim=0)
    latents = mu.double() - centre
    gram = latents.T @ latents
    gram += RIDGE * torch.diag(gram.diagonal().clamp(min=1e-12))
    weight = torch.linalg.solve(gram, latents.T @ (residual - mean)).T
    return weight.float(), (mean - weight @ centre).float()


def _r2(model: AAPTVAE, rows: torch.Tensor) -> float:
    mu, _ = model.posterior(rows)
    x = model.scaler.to_standardised(rows.double())
    residual = x - model.scaler.to_standardised(model.observation_mean(model.given(mu, rows)).double())
    return 1 - float(residual.square().sum() / (x - x.mean(dim=0)).square().sum().clamp(min=1e-300))
