"""How much memory the stages of a training need, and the error before a stage that needs more than the process may use."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from aaptvae.engine import require_memory

from .config import TrainConfig
from .features import BLOCK_NUMBERS, BLOCK_ROWS, SAMPLE_ROWS, held_out_counts, wants_covariance
from .features.prepare import LEAST_SAMPLE_ROWS, MOST_NUMBERS
from .linear.axes import CHUNK, MOST_GRAM_ROWS, most_axes

FLOAT, DOUBLE = 4, 8
NETWORK_COPIES = 12  # weights, gradients, two moments of AdamW, averages, best ones, and copies while a checkpoint is written
AXES_COPIES = 10  # in float64: of the scaler, its average and checkpoint, and the statistics on disk
HELP = {
    "rows": "give fewer rows, or fewer columns with --columns or --drop",
    "columns": "give fewer columns with --columns or --drop",
    "axes": "choose a smaller --latent-dim, or fewer columns with --columns or --drop",
    "network": "choose a smaller --hidden-dim or --latent-dim",
    "conditions": "give --condition columns of fewer values, or fewer columns with --columns or --drop",
    "evaluated": "give fewer rows, or free memory",
}


class Need(NamedTuple):
    """A stage and the bytes that it needs, by what they grow with: a key of `HELP`."""

    stage: str
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """All bytes."""
        return sum(self.parts.values())


def refuse_shortage(needs: Iterator[Need], rows: int, width: int, usable: float | None = None) -> None:
    """`InputError` for the first stage that needs more than the `usable` bytes, by default those the process may use."""
    for need in needs:
        largest = max(need.parts, key=lambda part: need.parts[part])
        require_memory(f"{need.stage} {rows:,} rows of {width:,} columns", need.total, HELP[largest], usable)


def needs_of_diagnosis(rows: int, width: int) -> Iterator[Need]:
    """The stages of `diagnose`."""
    yield _reading(rows, rows, width, 0)
    yield _axes(rows, width, most_axes(rows, width, 1), 0)


def needs_of_training(rows: int, width: int, config: TrainConfig, conditions: int = 0) -> Iterator[Need]:
    """The stages of a training on a table with so many numbers of conditions beside its columns, the refit included."""
    held = sum(held_out_counts(rows, config.validation_share, config.test_share))
    sample = min(SAMPLE_ROWS, max(LEAST_SAMPLE_ROWS, MOST_NUMBERS // width), rows)
    kept, axes = (held + sample) * (width + conditions), most_axes(rows, width, config.latent_dim)
    yield _reading(rows, rows - held, width, kept, conditions)
    yield _axes(rows, width, axes, kept)
    along_axes = axes is not None and config.sigma == "spectral" and config.linear_skip and config.likelihood != "bernoulli"
    inner = axes if along_axes and axes is not None else width
    widths = (inner, *config.hidden_dim, config.latent_dim)
    weights = 2 * sum(a * b for a, b in pairwise(widths)) + 2 * inner * config.latent_dim
    weights += conditions * (config.hidden_dim[0] + config.hidden_dim[-1])
    yield Need(
        "training on",
        {
            "network": NETWORK_COPIES * FLOAT * weights,
            "axes": AXES_COPIES * DOUBLE * width * (axes or width),
            "rows": FLOAT * (kept + rows * (min(inner + 1, width) + conditions)),
            "conditions": AXES_COPIES * DOUBLE * width * conditions,
        },
    )
    yield Need("evaluating", {"rows": 5 * DOUBLE * kept, "axes": 4 * DOUBLE * width * (axes or width)})


def needs_of_evaluation(rows: int, width: int, axes: int) -> Iterator[Need]:
    """An evaluation on rows that are not those of the run's training."""
    yield Need("evaluating", {"evaluated": 5.0 * DOUBLE * rows * width, "axes": 4.0 * DOUBLE * width * axes})


def _reading(rows: int, training: int, width: int, kept: float, conditions: int = 0) -> Need:
    whole = width + conditions
    block = min(rows, BLOCK_ROWS, max(1, BLOCK_NUMBERS // width)) * whole
    covariance = 3 * DOUBLE * width**2 if wants_covariance(training, width) else 0
    return Need(
        "reading",
        {
            "rows": (FLOAT + 3 * DOUBLE) * block + 2 * FLOAT * kept,
            "columns": float(covariance),
            "conditions": 6.0 * DOUBLE * conditions * whole,  # of their products, and of the regression on them
        },
    )


def _axes(rows: int, width: int, axes: int | None, kept: float) -> Need:
    found: dict[str, float] = {"rows": FLOAT * kept, "axes": 3 * DOUBLE * width * (axes or width), "columns": 0.0}
    if wants_covariance(rows, width):
        found["columns"] = 5 * DOUBLE * width**2
    elif rows <= MOST_GRAM_ROWS:
        found["rows"] += 2 * FLOAT * rows * width + 5 * DOUBLE * rows**2 + 3 * DOUBLE * CHUNK
    return Need("finding the axes of", found)
