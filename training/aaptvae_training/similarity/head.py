"""The similarity head: raw features to a short vector for search, by a linear map plus a small MLP.

Shapes: N rows, D features, S numbers of the result, H hidden.
"""

import torch
from torch import Tensor, nn

from aaptvae.rows import Matrix

from .recall import Geometry

HIDDEN = 400
SMALL = 0.01  # share of the usual initial weights that the MLP's last layer starts with: the head starts as its linear map


class SimilarityHead(nn.Module):
    """Raw features [N, D] to similarity vectors [N, S]: a linear map of standardised features, plus an MLP if `hidden`.

    Its inputs are standardised by `mean` and `scale` [D]. `gain` multiplies what is learned, so that a cosine head trains
    on numbers of size one and still returns vectors about as long as its rows.
    """

    mean: Tensor
    scale: Tensor
    gain: Tensor

    def __init__(self, width: int, dim: int, hidden: int = 0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(width, dtype=torch.float64))
        self.register_buffer("gain", torch.ones((), dtype=torch.float64))
        self.linear = nn.Linear(width, dim)
        self.hidden = nn.Linear(width, hidden) if hidden else None
        self.out = nn.Linear(hidden, dim) if hidden else None

    def forward(self, x: Tensor) -> Tensor:
        """Similarity vectors of raw features."""
        y: Tensor = self.learned(self.standardise(x)) * self.gain.to(x.dtype)
        return y

    def standardise(self, x: Tensor) -> Tensor:
        """Raw features [N, D] to the inputs of the layers."""
        return (x - self.mean.to(x.dtype)) / self.scale.to(x.dtype)

    def learned(self, u: Tensor) -> Tensor:
        """Vectors [N, S] of standardised features, before `gain`."""
        y: Tensor = self.linear(u)
        if self.hidden is not None and self.out is not None:
            y = y + self.out(torch.relu(self.hidden(u)))
        return y


def starting_head(mean: Matrix, scale: Matrix, axes: Matrix, geometry: Geometry, hidden: int = 0) -> SimilarityHead:
    """The head whose vectors are the projections of rows on `axes` [D, S], and whose MLP adds next to nothing.

    Euclidean: of standardised features, about their mean (PCA scores). Cosine: of raw features, about zero (uncentred SVD).
    """
    head = SimilarityHead(len(mean), axes.shape[1], hidden)
    head.mean.copy_(torch.from_numpy(mean))
    head.scale.copy_(torch.from_numpy(scale))
    weight, bias = torch.from_numpy(axes.T.copy()), torch.zeros(axes.shape[1], dtype=torch.float64)
    if geometry == "cosine":
        bias = weight @ head.mean
        weight = weight * head.scale
        head.gain.copy_(head.scale.square().mean().sqrt())
        weight, bias = weight / head.gain, bias / head.gain
    with torch.no_grad():
        head.linear.weight.copy_(weight)
        head.linear.bias.copy_(bias)
        if head.out is not None:
            head.out.weight.mul_(SMALL)
            head.out.bias.zero_()
    return head
