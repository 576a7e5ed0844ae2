"""Whether a model beats its linear start on validation rows: a figure that no single row decides, and its error."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from .processes import World

RANGE = 8.0  # a row counts for no more than this many times the typical difference
ERRORS = 1.0  # standard errors that a gain must exceed


class Gain(NamedTuple):
    """Mean difference of ELBO per row, in nats: plain, and with each row's difference clipped; the latter's standard error."""

    mean: float
    clipped: float
    error: float

    @classmethod
    def of(cls, differences: Tensor, world: World) -> Self:
        """From each row's difference [n], above 0 where the model is better, over the rows of all processes."""
        count = differences.new_tensor(float(len(differences)))
        # Geometric, so that a row far out does not widen the range that it is clipped to; sums, so that processes can share.
        typical, total, count = world.total(differences.abs().log1p().sum(), differences.sum(), count)
        most = RANGE * float(torch.expm1(typical / count))
        clipped = differences.clamp(-most, most)
        first, second = (part / count for part in world.total(clipped.sum(), clipped.square().sum()))
        variance = (second - first.square()).clamp(min=0)
        return cls(float(total / count), float(first), float((variance / (count - 1).clamp(min=1)).sqrt()))

    @property
    def score(self) -> float:
        """The smaller of the two means: neither the bulk of the rows nor the rows far out may lose."""
        return min(self.mean, self.clipped)

    @property
    def beyond_chance(self) -> bool:
        """Whether the clipped gain exceeds its standard error and the plain mean does not lose."""
        return self.clipped > ERRORS * self.error and self.mean >= 0
