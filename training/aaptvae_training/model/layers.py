"""Chains of linear layers and ReLUs, and the factor by which their output falls to 0 away from the training rows."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

FADED = 1.3  # distance, in multiples of the reach, from which on the output of the MLPs is 0


def mlp(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers between consecutive widths, each followed by a ReLU and, where asked for, dropout."""
    layers: list[nn.Module] = []
    for incoming, outgoing in pairwise(widths):
        layers += [nn.Linear(incoming, outgoing), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def first_layer(layers: nn.Sequential) -> nn.Linear:
    """The linear layer that a chain begins with; `TypeError` if it begins otherwise."""
    layer = layers[0]
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"the chain begins with {type(layer).__name__}, not with a linear layer")
    return layer


def direction_norms(layer: nn.Linear) -> Tensor:
    """Length of each unit's weights and bias together: [H].

    A unit's pre-activation over this is the projection of (x, 1) on one direction, in deviations if x is whitened.
    """
    return torch.sqrt(layer.weight.square().sum(dim=1) + layer.bias.square()).clamp(min=1e-12)


def fade(distance: Tensor, reach: Tensor) -> Tensor:
    """1 for rows whose `distance` is within `reach`, 0 beyond `FADED` times it, linear between: [N, 1] -> [N, 1]."""
    return ((FADED - distance / reach) / (FADED - 1)).clamp(0, 1)
