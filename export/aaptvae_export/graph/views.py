"""The views of a run as plain float32 layers: metric (the encoder's mean and one more layer) and similarity."""

import numpy as np
import torch
from torch import Tensor, nn

from aaptvae.bundle.manifest import TOLERANCE
from aaptvae.rows import Matrix
from aaptvae_training.similarity.head import SimilarityHead
from aaptvae_training.similarity.metric import MetricMap

from .folding import Affine, Subspace, loses_digits
from .modules import EncoderGraph


class MetricGraph(nn.Module):
    """x [N, D] -> metric [N, K]: the encoder's mean, and the map of it."""

    def __init__(self, encoder: EncoderGraph, metric: nn.Linear) -> None:
        super().__init__()
        setattr(encoder, "logvar", nn.Identity())  # noqa: B010 - not computed, so not in the graph
        encoder.spread = None
        self.encoder, self.metric = encoder, metric

    def forward(self, x: Tensor) -> Tensor:
        """Metric view of raw features."""
        view: Tensor = self.metric(self.encoder(x)[0])
        return view


class SimilarityGraph(nn.Module):
    """x [N, D] -> similarity [N, S], all of it folded."""

    def __init__(self, linear: nn.Linear, hidden: nn.Linear | None, out: nn.Linear | None) -> None:
        super().__init__()
        self.linear, self.hidden, self.out = linear, hidden, out
        self.shift: Tensor | None
        self.register_buffer("shift", None)

    def forward(self, x: Tensor) -> Tensor:
        """Similarity vectors of raw features."""
        x = x if self.shift is None else x - self.shift
        y: Tensor = self.linear(x)
        return y if self.hidden is None or self.out is None else y + self.out(torch.relu(self.hidden(x)))


def fold_metric(encoder: EncoderGraph, metric: MetricMap) -> MetricGraph:
    """The metric graph of a folded encoder, which must not be used for anything else afterwards."""
    weight, offset = torch.from_numpy(metric.matrix.T.copy()), torch.from_numpy(metric.offset)
    return MetricGraph(encoder, Affine(weight, offset).layer()).eval()


def fold_similarity(head: SimilarityHead) -> SimilarityGraph:
    """The similarity head on raw features, its standardisation and gain folded into the layers."""
    mean, forward = head.mean, 1 / head.scale
    shifted = loses_digits(forward, mean) or _rounds_much(head)
    scaled = forward, torch.zeros_like(mean) if shifted else -forward * mean
    gain = head.gain.expand(head.linear.out_features)
    linear = Affine.of(head.linear).after(*scaled).then(gain)
    hidden = out = None
    if head.hidden is not None and head.out is not None:
        hidden = Affine.of(head.hidden).after(*scaled).layer()
        last, linear = Affine.of(head.out).then(gain).with_bias_of(linear)
        out = last.layer()
    graph = SimilarityGraph(linear.layer(), hidden, out)
    if shifted:
        graph.shift = mean.float()
    return graph.eval()


def _rounds_much(head: SimilarityHead) -> bool:
    """Whether the products of folded weights and column means, which the bias cancels, sum to too much for float32.

    Those of many columns do so where each mean is only a few deviations.
    """
    products = Affine.of(head.linear).weight * (head.gain * head.mean / head.scale)
    return bool(torch.finfo(torch.float32).eps * products.abs().sum(dim=1).max() > TOLERANCE)


def compact_metric(metric: MetricMap, subspace: Subspace | None) -> MetricMap:
    """The metric map of the latents that are kept: the same G seen from their directions, and the same offset."""
    if subspace is None:
        return metric
    basis, rest = subspace.basis.numpy(), subspace.offset.numpy()
    kept = basis @ metric.matrix  # [K, L]: rows of the map that the kept directions reach
    axes = np.linalg.svd(kept, full_matrices=False)[2]  # an orthonormal basis [K, L] of where they lead
    return MetricMap(kept @ axes.T, (rest @ metric.matrix + metric.offset) @ axes.T)


def inverse_of(metric: MetricMap) -> dict[str, Matrix]:
    """The arrays of `views.npz`: mu = (metric - offset) @ inverse."""
    inverse: Matrix = np.linalg.inv(metric.matrix).astype(np.float64)
    return {"inverse": inverse, "offset": metric.offset}
