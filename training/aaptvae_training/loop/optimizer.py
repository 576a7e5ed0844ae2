"""AdamW with a learning rate and a weight decay for each kind of parameter."""

import torch
from torch import nn

from ..config import TrainConfig
from ..model import AAPTVAE

# Learning rates as factors of the configured one. The linear paths start near their optimum; the noise is a scale, which
# must be able to change by orders of magnitude.
SKIP_RATE = 0.1
NOISE_RATE = 10.0


def make_optimizer(model: AAPTVAE, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW that decays only the matrices of the MLPs: with these at zero the model is its linear start."""
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
