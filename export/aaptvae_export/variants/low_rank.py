"""Heads of an encoder that carry little, as two narrow factors: most of what an 8-bit encoder multiplies is saved.

Trained beside a linear path, the network often says the same few things to every latent: on sentences with 256 latents
sixteen directions of 400 hidden units hold all of logvar and of what the network adds to mu. Which directions those are,
the hidden activations decide (their principal components as seen through the head); what leaving out the others costs is
measured, on real rows and on noise that no training has seen.
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

from ..graph.folding import EncoderGraph
from ..proof.gate import Rows
from .quantization import NARROW, Array, rebuilt, weights_of

COST = {"held-out": 5e-4, "ordinary": 5e-3}  # KL in nats per feature: a hundredth and a tenth of what a twin may lose
APART = 0.02  # of either output's size on held-out rows: golden vectors are held to it where KL hardly feels it
RANKS = tuple(NARROW >> shift for shift in (2, 1, 0))
FEWEST = 64  # rows that can tell directions apart


class Factors(NamedTuple):
    """widen (narrow h) + bias in place of W h + b: narrow [r, H], widen [M, r], bias [M]."""

    narrow: NDArray[np.float32]
    widen: NDArray[np.float32]
    bias: NDArray[np.float32]


def thin(model: onnx.ModelProto, module: EncoderGraph, kinds: Mapping[str, Rows]) -> onnx.ModelProto:
    """The encoder with its heads in factors where `kinds` of rows (held-out, ordinary) show that as good as nothing is lost.

    Each head is judged by itself, by the divergence of the posterior.
    """
    rows = {kind: torch.from_numpy(kinds[kind]) for kind in COST}
    if len(kinds["held-out"]) < FEWEST:
        return model
    for name in ("mu", "logvar"):
        factors = next(_cheap(module, name, rows), None)
        if factors is not None:
            model = _split(model, name, factors)
    return model


@torch.no_grad()
def _cheap(module: EncoderGraph, name: str, rows: Mapping[str, Tensor]) -> Iterator[Factors]:
    """Factors of the head within the cost, narrowest first; found on every other row, judged on the rest."""
    ranks = [rank for rank in RANKS if rank <= min(getattr(module, name).weight.shape) // 4]
    if not ranks:
        return
    head, real = getattr(module, name), rows["held-out"][::2]
    (centre, metric), (_, noise) = (_moments(module, part) for part in (real, rows["ordinary"][::2]))
    metric += noise * COST["held-out"] / COST["ordinary"]
    scales = (-0.5 * module(real)[1].double()).exp().mean(dim=0) if name == "mu" else torch.ones(1).double()
    weight, bias = head.weight.double(), head.bias.double()
    values, axes = torch.linalg.eigh(metric)
    root = axes * values.clamp(min=0).sqrt()
    left = torch.linalg.svd(scales[:, None] * weight @ root, full_matrices=False)[0]
    for rank in ranks:
        narrow = left[:, :rank].T @ (scales[:, None] * weight)
        widen = left[:, :rank] / scales[:, None]
        thinned = copy.deepcopy(module)
        dense = getattr(thinned, name)
        dense.weight.copy_(widen @ narrow)
        dense.bias.copy_(bias + (weight - widen @ narrow) @ centre)
        outcomes = {kind: (module(part[1::2]), thinned(part[1::2])) for kind, part in rows.items()}
        if all(_divergence(*pair) <= COST[kind] * real.shape[1] for kind, pair in outcomes.items()) and all(
            _apart(*pair) <= APART for pair in zip(*outcomes["held-out"], strict=True)
        ):
            yield Factors(narrow.float().numpy(), widen.float().numpy(), dense.bias.numpy())


def _moments(module: EncoderGraph, rows: Tensor) -> tuple[Tensor, Tensor]:
    hidden = module.hidden(rows).double()
    return hidden.mean(dim=0), torch.cov(hidden.T)


def _divergence(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> float:
    """KL between two posteriors in nats, mean over rows."""
    (mu, logvar), (mean, log_variance) = [tuple(part.double() for part in pair) for pair in (before, after)]
    ratio = logvar - log_variance
    return float((0.5 * ((mu - mean).square() * (-log_variance).exp() + ratio.exp() - 1 - ratio)).sum(dim=1).mean())


def _apart(before: Tensor, after: Tensor) -> float:
    """Root mean square of what changed, in that of what there was."""
    return float((after - before).double().norm() / before.double().norm().clamp(min=1e-12))


def _split(model: onnx.ModelProto, name: str, factors: Factors) -> onnx.ModelProto:
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
