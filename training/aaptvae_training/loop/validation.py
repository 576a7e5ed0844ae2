"""Figures of validation rows that select weights, and whether a model beats its linear start by more than chance."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from ..linear.start import reconstruct_as_pca
from ..model.fidelity import Fidelity
from ..model.network import AAPTVAE, silenced
from ..model.objective import Objective
from ..model.scaler import FeatureScaler
from .processes import World

DRAWS = 4096  # posterior draws that a validation ELBO averages at least
ROWS_AT_ONCE = 2048

MOST_R2_LOST = 0.001  # weights whose R2 of validation rows is further below PCA's are not kept
SURE = 2.0  # standard errors by which it must be above that limit: otherwise a few rows decide
RANGE = 8.0  # differences are clipped at this many times the typical difference


class LinearStart(NamedTuple):
    """Negative ELBO of each validation row [n], and the squared errors of PCA in each of the goal's units [U, n]."""

    losses: Tensor
    squares: Tensor


class Validation:
    """This process's share of scaled validation rows [N, D]; the same random draws are used for every measurement."""

    def __init__(self, rows: Tensor, seed: int, world: World) -> None:
        self.rows = rows[world.rank :: world.size].to(world.device)
        self.draws = max(1, DRAWS // max(1, len(rows)))  # of every row, whichever process judges it
        self.seed, self.world = seed, world

    @torch.no_grad()
    def bounds(self, model: AAPTVAE) -> Tensor:
        """-log p(x|z) averaged over posterior draws, and KL, of each row: [2, n]."""
        seed_noise(self.seed, -1, self.world.rank)
        objective = Objective(model)
        parts = [torch.stack(objective.bound(x, self.draws)) for x in torch.split(self.rows, ROWS_AT_ONCE)]
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def squared_errors(self, model: AAPTVAE, goal: Fidelity) -> Tensor:
        """Squared error of each row's reconstruction, in each of the goal's units: [U, n]."""
        objective = Objective(model, goal=goal)
        return torch.cat([objective.squared_errors(x) for x in torch.split(self.rows, ROWS_AT_ONCE)], dim=1)

    def linear_start(self, model: AAPTVAE, goal: Fidelity) -> LinearStart:
        """Figures of an untrained model's linear start, which reconstructs as PCA does once its shrinkage is undone."""
        linear = silenced(model).eval()
        losses = self.bounds(linear).sum(dim=0)
        reconstruct_as_pca(linear)
        return LinearStart(losses, self.squared_errors(linear, goal))

    def as_close_as_pca(self, squares: Tensor, pca: Tensor, scaler: FeatureScaler, goal: Fidelity) -> list[bool]:
        """In which units squared errors [U, n] show that R2 of all processes is at most `MOST_R2_LOST` below PCA's: [U].

        `SURE` standard errors of their differences from the errors of PCA [U, n] must be left.
        """
        lengths = goal.errors(scaler, scaler.scaled_features(self.rows))
        sums = [self.world.total(*part.sum(dim=1), part.new_tensor(float(part.shape[1]))) for part in (squares, lengths)]
        errors, variances = ([float(total / rows) for total in totals] for *totals, rows in sums)
        unsure = [standard_error(differences, self.world) for differences in squares - pca]
        return [
            error + SURE * chance <= most + MOST_R2_LOST * variance
            for error, chance, most, variance in zip(errors, unsure, goal.tolerated, variances, strict=True)
        ]


class Gain(NamedTuple):
    """Gain of ELBO per row, in nats: its mean, its mean with each row's difference clipped, the error of the clipped mean."""

    mean: float
    clipped: float
    error: float
    rows: int

    @classmethod
    def of(cls, differences: Tensor, world: World) -> Self:
        """From each row's difference [n], above 0 where the model is better, over the rows of all processes."""
        count = differences.new_tensor(float(len(differences)))
        # The typical difference is a geometric mean, which one outlying row hardly changes. It is computed from sums, because
        # each process has only a part of the rows.
        typical, total, count = world.total(differences.abs().log1p().sum(), differences.sum(), count)
        most = RANGE * float(torch.expm1(typical / count))
        clipped = differences.clamp(-most, most)
        (first,) = world.total(clipped.sum())
        return cls(float(total / count), float(first / count), standard_error(clipped, world), int(count))

    @property
    def score(self) -> float:
        """The smaller of the two means: a gain on most rows cannot hide a loss on outlying rows, or the reverse."""
        return min(self.mean, self.clipped)

    @property
    def beyond_chance(self) -> bool:
        """Whether the clipped gain exceeds `student_quantile` standard errors and the plain mean does not lose."""
        return self.clipped > student_quantile(self.rows - 1) * self.error and self.mean >= 0


def standard_error(values: Tensor, world: World) -> float:
    """Of the mean of values [n] over the rows of all processes."""
    count = values.new_tensor(float(len(values)))
    first, second, count = world.total(values.sum(), values.square().sum(), count)
    variance = (second / count - (first / count).square()).clamp(min=0)
    return float((variance / (count - 1).clamp(min=1)).sqrt())


def student_quantile(freedom: int) -> float:
    """The 99.5 % quantile of Student's t by a series in 1 / freedom (Fisher and Cornish 1960), too low below 3.

    The level is strict because a gain is the largest of many epochs. A few rows must agree closely: three of them exceed
    three standard errors by chance once in thirty epochs.
    """
    inverse = 1 / max(freedom, 1)
    return 2.576 + inverse * (4.917 + inverse * (8.836 + inverse * (12.15 + inverse * 12.06)))


def seed_noise(seed: int, epoch: int, rank: int) -> None:
    """Give torch's generators the state that belongs to this epoch of this process."""
    torch.manual_seed((seed * 1_000_003 + (epoch + 2) * 1_009 + rank) % (1 << 63))
