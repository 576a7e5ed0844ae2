"""The figures of a diagnosis: columns, spectrum, and the latents that a linear VAE would use. Needs no torch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from msgspec import Struct, field

from aaptvae.rows import Matrix, Rows, called

from ..features import Features, Finding, Mask, Statistics, column_scale
from ..linear.axes import axes_count, find_axes
from ..linear.ppca import ACTIVE, ppca_of

SUM_OF_SQUARES_VARIANCE = 0.5  # of the decoder, where the loss is squared error + KL
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
LATENTS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class Norms(Struct, frozen=True):
    """Euclidean norms of the raw rows."""

    smallest: float
    median: float
    largest: float
    unit: bool


class BadValue(Struct, frozen=True):
    """The first NaN or infinity of a row, counted from 0."""

    row: int
    column: int
    value: str


class Fixed(Struct, frozen=True):
    """Active latents under a fixed decoder variance: those whose eigenvalue exceeds it (Lucas et al. 2019)."""

    loss: str
    variance: float
    active: int
    largest_eigenvalue: float


class Learned(Struct, frozen=True):
    """Active latents if the noise is learned, which then is that of probabilistic PCA with this number of latents."""

    latents: int
    variance: float
    active: int
    explained: float  # share of the standardised variance


class Diagnosis(Struct, frozen=True, kw_only=True):
    """The result of `diagnose`; the spectrum is that of the standardised features of the `rows - bad_rows` usable rows."""

    name: str
    rows: int
    width: int
    dtype: str
    bad_rows: int
    bad_values: int
    first_bad: list[BadValue]
    columns: list[str] | None = None  # names
    notes: list[str] = field(default_factory=list)  # how the files are read
    rounded: list[int] = field(default_factory=list)  # columns whose variation float32 cannot hold
    row_numbers: list[str] = field(default_factory=list)  # warnings about columns that count up
    copied_rows: int = 0  # rows that equal an earlier one
    smallest: float | None = None
    largest: float | None = None
    norms: Norms | None = None
    constant: list[int] = field(default_factory=list)
    near_constant: list[int] = field(default_factory=list)
    duplicates: list[tuple[int, int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)  # what columns hold, and what training does about it
    effective_rank: float = 0.0  # participation ratio of the eigenvalues
    eigenvalues: list[float] = field(default_factory=list)
    latents_for: dict[str, int] = field(default_factory=dict)  # percent of variance: latents that PCA needs for it
    fixed: list[Fixed] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)
    latent_dim: int | None = None  # advised
    warnings: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def called(self, column: int) -> str:
        """The name of a column, else its position."""
        return called(column, self.columns)


@dataclass(frozen=True)
class UsableRows:
    """The rows of a table without NaN and infinities, with their moments."""

    statistics: Statistics
    constant: Mask
    table: Features

    def training_rows(self) -> Iterator[Rows]:
        """The usable rows, block by block."""
        for _, block in self.table.blocks():
            yield block[np.isfinite(block).all(axis=1)]


def spectrum_of(rows: UsableRows, sigma: float | None) -> dict[str, object]:
    """Fields of a `Diagnosis` that need finite rows: columns, eigenvalues, and the latents that they predict."""
    statistics, constant = rows.statistics, rows.constant
    scale, count = column_scale(statistics, constant), axes_count(rows, 1)
    found, in_own_units = (find_axes(rows, unit, count) for unit in (scale, np.ones(statistics.width)))
    eigenvalues, raw = found.spectrum, in_own_units.spectrum
    fixed = [("SSE + KL on raw features", SUM_OF_SQUARES_VARIANCE, raw)]
    fixed.append(("SSE + KL on standardised features", SUM_OF_SQUARES_VARIANCE, eigenvalues))
    if sigma is not None:
        fixed.append((f"--sigma {sigma:g} on standardised features", sigma**2, eigenvalues))
    exactly = statistics.deviation == 0
    return {
        "smallest": float(statistics.minimum.min()),
        "largest": float(statistics.maximum.max()),
        "constant": np.flatnonzero(exactly).tolist(),
        "near_constant": np.flatnonzero(constant & ~exactly).tolist(),
        "effective_rank": float(eigenvalues.sum() ** 2 / max(float((eigenvalues**2).sum()), 1e-300)),
        "eigenvalues": eigenvalues.tolist(),
        "latents_for": _latents_for(eigenvalues, found.known),
        "fixed": [
            Fixed(loss, variance, _active_latents(values, variance), float(values[0])) for loss, variance, values in fixed
        ],
        "learned": [_learned(eigenvalues, latents) for latents in LATENTS if latents < min(len(eigenvalues), found.known + 1)],
    }


def _active_latents(eigenvalues: Matrix, variance: float) -> int:
    """Number of active latents of a linear VAE with this decoder variance: Var(mu_j) = 1 - variance / eigenvalue."""
    return int((variance < (1 - ACTIVE) * eigenvalues).sum())


def _learned(eigenvalues: Matrix, latents: int) -> Learned:
    """Noise variance, active latents and explained share of probabilistic PCA."""
    variance = ppca_of(eigenvalues, np.empty((0, 0)), latents).variance
    explained = float(eigenvalues[:latents].sum() / max(float(eigenvalues.sum()), 1e-300))
    return Learned(latents, variance, _active_latents(eigenvalues[:latents], variance), explained)


def _latents_for(eigenvalues: Matrix, known: int) -> dict[str, int]:
    """Number of components with which PCA explains a share of the variance, by percent; empty if no column varies.

    Shares that need more than the `known` eigenvalues are left out.
    """
    total = float(eigenvalues.sum())
    if not total:
        return {}
    # Slightly less than the share, so that a rounding error of the sum does not add a component.
    needed = np.searchsorted(np.cumsum(eigenvalues), (np.array(SHARES) - 1e-12) * total) + 1
    return {f"{100 * share:g}": int(count) for share, count in zip(SHARES, needed, strict=True) if count <= known}
