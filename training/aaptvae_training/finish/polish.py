"""After training: a linear correction of the decoder, so that validation rows are reconstructed no worse than by PCA.

A likelihood with heavy tails gives little weight to rows with large errors; R2 gives them much. The correction is a ridge
regression of the residuals x - decode(mu) on mu, times the smallest amount with which validation rows reach the target.
"""

import copy
import math
from collections.abc import Sequence

import torch

from aaptvae.rows import Rows

from ..model.fidelity import MARGIN, Fidelity
from ..model.network import AAPTVAE, last_layer
from ..model.objective import Objective

AMOUNTS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
RIDGE = 1e-3  # of the variance of mu
MOST_NATS = 0.005  # per feature: largest loss of validation ELBO through a correction
MOST_LOST = 0.5  # and of a row of many features


@torch.no_grad()
def polish(
    model: AAPTVAE, rows: tuple[Rows, Rows], goal: Fidelity | None, gain: float = math.inf, amounts: Sequence[float] = AMOUNTS
) -> float:
    """Correct `model` in place until validation rows reach the `goal`, in each of its units; returns the amount used.

    `rows` are scaled training and validation rows, both [N, D]. An amount that lowers the validation ELBO by more than
    `MOST_NATS` per feature, `MOST_LOST` or the `gain` over the linear start ends the search and is not used. Without a goal the
    last amount that this allows is used.
    """
    if model.decoder_skip is None or model.likelihood == "bernoulli":
        return 0.0
    train, validation = map(torch.from_numpy, rows)
    weight, bias = _correction(model, train)
    original = copy.deepcopy(model.state_dict())
    least = _elbo(model, validation) - min(MOST_NATS * model.input_dim, MOST_LOST, gain)
    missing: dict[float, float] = {}  # R2, by amount
    for amount in amounts:
        _correct(model, original, amount * weight, amount * bias)
        if amount and _elbo(model, validation) < least:
            break
        missing[amount] = -amount if goal is None else _missing(model, validation, goal)
        if goal is not None and missing[amount] <= 0:
            break
    best = min(missing, key=lambda amount: missing[amount])
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


def _missing(model: AAPTVAE, rows: torch.Tensor, goal: Fidelity) -> float:
    """Largest share of the variance, over the units of the goal, by which squared errors exceed it."""
    mean, features = model.observation_mean(model.given(model.posterior(rows)[0], rows)), model.scaler.scaled_features(rows)
    errors = goal.errors(model.scaler, (mean - features).double()).mean(dim=1)
    variances = goal.errors(model.scaler, features.double()).mean(dim=1).clamp(min=1e-300)
    return float(((errors - MARGIN * errors.new_tensor(goal.tolerated)) / variances).max())
