"""What is in a feature file, before anybody trains on it: bad values, spectrum, and the latents that could live on it.

No torch: one pass over the rows and one eigenvalue problem. The words are in `diagnosis_words.py`.
"""

import os
from typing import Any

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from aaptvae.errors import InputError
from aaptvae.rows import Matrix, Rows

from ..features.moments import Moments, Statistics
from ..features.prepare import column_scale, is_constant
from ..features.table import Features, open_features
from ..linear.ppca import ACTIVE, ppca_of, principal_axes
from ..talk import Talk
from .words import describe, findings

SEED_VARIANCE = 0.5  # the decoder variance of SSE + KL
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
LATENTS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
COPY = 1e-9  # columns whose correlation is this close to 1 or -1 say the same
NAMED = 8  # bad rows and columns that are named; the rest are counted
MOST_NORMS = 1 << 20
UNIT = 0.01  # how far from 1 the norms of normalised rows may lie


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
    """Latents that survive a decoder variance chosen in advance: those whose eigenvalue exceeds it (Lucas et al. 2019)."""

    loss: str
    variance: float
    active: int
    largest_eigenvalue: float


class Learned(Struct, frozen=True):
    """The same where the noise is learned, which makes it that of probabilistic PCA, for one number of latents."""

    latents: int
    variance: float
    active: int
    explained: float  # share of the standardised variance


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What `diagnose` found; the spectrum is that of the standardised features of the `rows - bad_rows` usable rows."""

    name: str
    rows: int
    width: int
    dtype: str
    bad_rows: int
    bad_values: int
    first_bad: list[BadValue]
    smallest: float | None = None
    largest: float | None = None
    norms: Norms | None = None
    constant: list[int] = field(default_factory=list)
    near_constant: list[int] = field(default_factory=list)
    duplicates: list[tuple[int, int]] = field(default_factory=list)
    effective_rank: float = 0.0  # participation ratio of the eigenvalues
    eigenvalues: list[float] = field(default_factory=list)
    latents_for: dict[str, int] = field(default_factory=dict)  # percent of variance: latents that PCA needs for it
    fixed: list[Fixed] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)
    latent_dim: int | None = None  # advice
    warnings: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The same for people."""
        return describe(self)


class Survey:
    """One pass over a table: counts of bad values, norms, and moments of the rows that are finite."""

    def __init__(self, width: int) -> None:
        self.moments = Moments(width)
        self.bad_rows = self.bad_values = 0
        self.first_bad: list[BadValue] = []
        self._norms = np.empty(0)
        self._stride = 1
        self._least, self._most = np.inf, -np.inf

    def add(self, start: int, block: Rows) -> None:
        """Take in rows [n, D] that begin at row `start`, whatever they hold."""
        finite = np.isfinite(block)
        usable = finite.all(axis=1)
        for row in np.flatnonzero(~usable):
            if len(self.first_bad) < NAMED:
                column = int(finite[row].argmin())
                self.first_bad.append(BadValue(start + int(row), column, str(block[row, column])))
        self.bad_rows += int((~usable).sum())
        self.bad_values += int(finite.size - finite.sum())
        rows = block[usable] if not usable.all() else block
        self.moments.add(rows)
        self._add_norms(np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64)))

    def _add_norms(self, norms: Matrix) -> None:
        """Keep every norm of small tables and an even selection of large ones; the extremes are exact."""
        if len(norms):
            self._least, self._most = min(self._least, float(norms.min())), max(self._most, float(norms.max()))
        self._norms = np.concatenate([self._norms, norms[:: self._stride]])
        if len(self._norms) > MOST_NORMS:
            self._norms, self._stride = self._norms[::2], 2 * self._stride

    def norms(self) -> Norms:
        """Of the finite rows so far, of which there must be one."""
        unit = self._least > 1 - UNIT and self._most < 1 + UNIT
        return Norms(self._least, float(np.median(self._norms)), self._most, unit)


def diagnose(path: str | os.PathLike[str], sigma: float | None = None, talk: Talk | None = None) -> Diagnosis:
    """Look at a feature file once; rows with NaN or infinity are counted and left out.

    `sigma` asks what a fixed deviation of standardised features would keep. `InputError` for a file that is no table of
    numbers, or a sigma that is not positive.
    """
    if sigma is not None and not 0 < sigma < np.inf:
        raise InputError(f"--sigma is {sigma}: a fixed deviation must be positive and finite")
    talk = talk or Talk()
    with open_features(path) as features:
        talk.stage("reading", features.rows)
        survey = Survey(features.width)
        for start, block in features.blocks():
            survey.add(start, block)
            talk.advance(len(block))
        facts = facts_of(features, survey, os.fspath(path))
    if survey.moments.rows:
        facts |= spectrum_of(survey.moments.finish(), np.dtype(features.dtype), sigma) | {"norms": survey.norms()}
    found = Diagnosis(**facts)  # type: ignore[arg-type]
    return Diagnosis(**facts | findings(found))  # type: ignore[arg-type]


def facts_of(features: Features, survey: Survey, name: str) -> dict[str, object]:
    """What needs no finite row."""
    return {
        "name": name,
        "rows": features.rows,
        "width": features.width,
        "dtype": features.dtype,
        "bad_rows": survey.bad_rows,
        "bad_values": survey.bad_values,
        "first_bad": survey.first_bad,
    }


def spectrum_of(statistics: Statistics, dtype: np.dtype[Any], sigma: float | None) -> dict[str, object]:
    """Columns and eigenvalues, and what they predict."""
    covariance = statistics.standardised_covariance(column_scale(statistics, dtype))
    eigenvalues, _ = principal_axes(covariance)
    raw, _ = principal_axes(statistics.covariance)
    fixed = [("SSE + KL on raw features", SEED_VARIANCE, raw)]
    fixed.append(("SSE + KL on standardised features", SEED_VARIANCE, eigenvalues))
    if sigma is not None:
        fixed.append((f"--sigma {sigma:g} on standardised features", sigma**2, eigenvalues))
    still = statistics.deviation == 0
    faint = ~still & is_constant(statistics, dtype)
    return {
        "smallest": float(statistics.minimum.min()),
        "largest": float(statistics.maximum.max()),
        "constant": np.flatnonzero(still).tolist(),
        "near_constant": np.flatnonzero(faint).tolist(),
        "duplicates": copies(covariance, still | faint),
        "effective_rank": float(eigenvalues.sum() ** 2 / max(float((eigenvalues**2).sum()), 1e-300)),
        "eigenvalues": eigenvalues.tolist(),
        "latents_for": latents_for(eigenvalues),
        "fixed": [Fixed(loss, variance, survivors(values, variance), float(values[0])) for loss, variance, values in fixed],
        "learned": [learned(eigenvalues, latents) for latents in LATENTS if latents < len(eigenvalues)],
    }


def survivors(eigenvalues: Matrix, variance: float) -> int:
    """How many latents a linear VAE uses under this decoder variance: Var(mu_j) = 1 - variance / eigenvalue."""
    return int((variance < (1 - ACTIVE) * eigenvalues).sum())


def learned(eigenvalues: Matrix, latents: int) -> Learned:
    """Noise, survivors and explained share of probabilistic PCA."""
    variance = ppca_of(eigenvalues, np.empty((0, 0)), latents).variance
    explained = float(eigenvalues[:latents].sum() / max(float(eigenvalues.sum()), 1e-300))
    return Learned(latents, variance, survivors(eigenvalues[:latents], variance), explained)


def latents_for(eigenvalues: Matrix) -> dict[str, int]:
    """Components that PCA needs for a share of the variance, by percent; empty when nothing varies."""
    total = float(eigenvalues.sum())
    if not total:
        return {}
    # A hair less than the share, so that rounding in the sum asks for no component more.
    needed = np.searchsorted(np.cumsum(eigenvalues), (np.array(SHARES) - 1e-12) * total) + 1
    return {f"{100 * share:g}": int(count) for share, count in zip(SHARES, needed, strict=True)}


def copies(covariance: Matrix, still: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pairs of a column and the first one that says the same up to sign, scale and shift."""
    deviation = np.where(still, 1.0, np.sqrt(np.clip(np.diag(covariance), 1e-300, None)))
    alike = np.abs(covariance / np.outer(deviation, deviation)) > 1 - COPY
    alike[still] = False
    first = alike.argmax(axis=1)
    return [(int(first[column]), int(column)) for column in np.flatnonzero(alike.any(axis=1) & (first < np.arange(len(first))))]
