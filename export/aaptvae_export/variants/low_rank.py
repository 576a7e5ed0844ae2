"""Heads of an int8 encoder as products of two narrow matrices, where the posterior barely changes: fewer multiplications.

Beside a linear skip, the hidden units often move all latents along few directions: on sentences with 256 latents, 16 of 400
directions hold all of logvar and of the network's part of mu. The directions are the principal components of the hidden
activations as the head maps them. The change is measured on held-out rows and on Gaussian noise.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor

from aaptvae.rows import Array, Rows

from ..graph import EncoderGraph
from .quantization import NARROW, rebuilt, weights_of

MAX_DIVERGENCE = {"held-out": 5e-4, "ordinary": 5e-3}  # nats per feature: 1 % and 10 % of the ELBO that int8 may lose
_MAX_CHANGE = 0.02  # of the root mean square of mu and of logvar on held-out rows: a small KL can hide a change of logvar
_RANKS = tuple(NARROW >> shift for shift in (2, 1, 0))
_LEAST_ROWS = 64  # fewer rows do not determine the directions


class _Factors(NamedTuple):
    """widen (narrow h) + bias in place of W h + b: narrow [r, H], widen [M, r], bias [M]."""

    narrow: NDArray[np.float32]
    widen: NDArray[np.float32]
    bias: NDArray[np.float32]


def factor_heads(model: onnx.ModelProto, module: EncoderGraph, kinds: Mapping[str, Rows]) -> onnx.ModelProto:
    """The encoder with each head in two factors where the posterior changes little on both `kinds` of rows.

    `kinds` holds "held-out" and "ordinary" rows [N, D + C]; `module` are the layers that `model` was traced from.
    """
    rows = {kind: torch.from_numpy(kinds[kind]) for kind in MAX_DIVERGENCE}
    if len(kinds["held-out"]) < _LEAST_ROWS:
        return model
    for name in ("mu", "logvar"):
        factors = next(_fit_factors(module, name, rows), None)
        if factors is not None:
            model = _split(model, name, factors)
    return model


@torch.no_grad()
def _fit_factors(module: EncoderGraph, name: str, rows: Mapping[str, Tensor]) -> Iterator[_Factors]:
    """Factors of the head within the limits, narrowest first; fitted to every other row, measured on the rest."""
    ranks = [rank for rank in _RANKS if rank <= min(getattr(module, name).weight.shape) // 4]
    if not ranks:
        return
    head, real = getattr(module, name), rows["held-out"][::2]
    (centre, metric), (_, noise) = (_moments(module, part) for part in (real, rows["ordinary"][::2]))
    metric += noise * MAX_DIVERGENCE["held-out"] / MAX_DIVERGENCE["ordinary"]
    scales = (-0.5 * module(*module.apart(real))[1].double()).exp().mean(dim=0) if name == "mu" else torch.ones(1).double()
    weight, bias = head.weight.double(), head.bias.double()
    values, axes = torch.linalg.eigh(metric)
    root = axes * values.clamp(min=0).sqrt()
    left = torch.linalg.svd(scales[:, None] * weight @ root, full_matrices=False)[0]
    for rank in ranks:
        narrow = left[:, :rank].T @ (scales[:, None] * weight)
        widen = left[:, :rank] / scales[:, None]
        factored = copy.deepcopy(module)
        dense = getattr(factored, name)
        dense.weight.copy_(widen @ narrow)
        dense.bias.copy_(bias + (weight - widen @ narrow) @ centre)
        pairs = {kind: module.apart(part[1::2]) for kind, part in rows.items()}
        outcomes = {kind: (module(*pair), factored(*pair)) for kind, pair in pairs.items()}
        if all(_posterior_divergence(*pair) <= MAX_DIVERGENCE[kind] * real.shape[1] for kind, pair in outcomes.items()) and all(
            _relative_change(*pair) <= _MAX_CHANGE for pair in zip(*outcomes["held-out"], strict=True)
        ):
            yield _Factors(narrow.float().numpy(), widen.float().numpy(), dense.bias.numpy())


def _moments(module: EncoderGraph, rows: Tensor) -> tuple[Tensor, Tensor]:
    hidden = module.hidden(rows).double()
    return hidden.mean(dim=0), torch.cov(hidden.T)


def _posterior_divergence(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> float:
    """Mean over rows of KL(before || after) between two diagonal Gaussian posteriors, in nats."""
    (mu, logvar), (mean, log_variance) = [tuple(part.double() for part in pair) for pair in (before, after)]
    ratio = logvar - log_variance
    return float((0.5 * ((mu - mean).square() * (-log_variance).exp() + ratio.exp() - 1 - ratio)).sum(dim=1).mean())


def _relative_change(before: Tensor, after: Tensor) -> float:
    """Root mean square of the change as a share of the root mean square before."""
    return float((after - before).double().norm() / before.double().norm().clamp(min=1e-12))


def _split(model: onnx.ModelProto, name: str, factors: _Factors) -> onnx.ModelProto:
    weights: dict[str, Array] = weights_of(model)
    weights |= {f"{name}.{part}": values for part, values in factors._asdict().items()}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.input[1] == f"{name}.weight":
            few = f"{name}.few"
            nodes.append(helper.make_node("Gemm", [node.input[0], f"{name}.narrow"], [few], transB=1))
            nodes.append(helper.make_node("Gemm", [few, f"{name}.widen", f"{name}.bias"], list(node.output), transB=1))
        else:
            nodes.append(node)
    return rebuilt(model, nodes, weights)
