"""AdamW with a rate and a decay for each kind of weight."""

import torch
from torch import nn

from ..config import TrainConfig
from ..model.network import AAPTVAE

SKIP_RATE = 0.1  # learning rate of the linear skips, as a share
NOISE_RATE = 10.0  # of the noise scales


def make_optimizer(model: AAPTVAE, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW that decays the MLP matrices only: with them at zero the model is its linear start.

    Skips are right from the start and move slowly; the noise is a scale and must be free to move fast.
    """
    groups: dict[str, list[nn.Parameter]] = {"matrix": [], "bias": [], "skip": [], "noise": []}
    for name, parameter in model.named_parameters():
        kind = "skip" if "skip" in name else "noise" if name in ("log_sigma", "log_tail") else "bias"
        groups["matrix" if kind == "bias" and parameter.ndim == 2 else kind].append(parameter)
    rates = {"skip": SKIP_RATE, "noise": NOISE_RATE}
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "factor": rates.get(kind, 1.0),
                "weight_decay": (config.weight_decay or 0.0) if kind == "matrix" else 0.0,
            }
            for kind, parameters in groups.items()
            if parameters
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.99),
        fused=True,
    )
