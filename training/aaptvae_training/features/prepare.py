"""One pass over a feature table: digest, split, moments of the training rows, held-out rows."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError
from aaptvae.rows import Matrix, Rows

from ..config import TrainConfig
from ..progress import TrainingProgress
from .copies import RowKeys
from .kinds import ColumnFacts, Finding, findings
from .missing import replace_missing
from .moments import FEW_COLUMNS, Moments, Statistics, first_bad_value, wants_covariance
from .regression import Products, Regression
from .rounding import sentence
from .row_numbers import row_numbers
from .split import Split, split_rows, split_time
from .split_column import check_split
from .table import Features, rows_within

Mask = NDArray[np.bool_]

SAMPLE_ROWS = 2_000  # training rows that are kept to compare their figures with those of held-out rows
LEAST_SAMPLE_ROWS = 200  # of tables of many columns
MOST_DEVIATIONS = 6.0  # of a training value from the mean, where scales are capped
LARGEST = 1e30  # of a value; products with weights and sums of columns stay below the limit of float32
_ROUNDINGS = 8.0
MOST_NUMBERS = 1 << 24  # of rows in float64 at once, and of that sample
_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Prepared:
    """Results of the pass: rows are raw, `statistics` are of the training rows alone, `constant` [D] marks constant columns.

    Where the table has conditions, rows are [n, D + C], `given` is the mean of the features given c, and `statistics` hold
    variance and covariance of the residuals around it; `scale` is that of the features themselves.
    """

    sha256: str
    split: Split
    statistics: Statistics
    scale: Matrix
    constant: Mask
    validation: Rows
    test: Rows
    train_sample: Rows
    copies: int | None = None  # rows that equal an earlier row, None if they were not counted
    held_out_copies: int = 0  # held-out rows that equal a training row
    missing: int = 0  # missing values that were replaced
    warnings: tuple[str, ...] = ()  # about columns
    findings: tuple[Finding, ...] = ()  # about all rows
    table: Features | None = None  # open as long as the training lasts
    capped: bool = False  # whether scales are larger where training values lie far out
    given: Regression | None = None

    def features_of(self, rows: Rows) -> Rows:
        """Rows without their conditions: [n, D]."""
        return rows if self.given is None else rows[:, : self.statistics.width]

    def residuals(self, rows: Rows) -> Matrix | Rows:
        """Raw features less the part of their mean that conditions explain: [n, D]; the rows themselves without conditions."""
        return rows if self.given is None else self.features_of(rows) - self.given.location(rows)

    def standardised_residuals(self, rows: Rows) -> Rows:
        """Raw rows as standardised float32 residuals [n, D], computed in float64 so that large means lose no digits."""
        width = self.statistics.width
        standardised, step = np.empty((len(rows), width), np.float32), max(1, MOST_NUMBERS // width)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            standardised[part] = (self.residuals(rows[part]) - self.statistics.mean) / self.scale
        return standardised

    def training_rows(self) -> Iterator[Rows]:
        """Residuals of the raw training rows, block by block; `ValueError` where the table is not at hand."""
        if self.table is None:
            raise ValueError("these statistics were made without their table: prepare the features again")
        for start, block in self.table.blocks():
            yield np.asarray(self.residuals(rows_within(self.split.train, start, block)), np.float32)


def prepare_features(features: Features, config: TrainConfig, progress: TrainingProgress, *, copies: bool = True) -> Prepared:
    """Read the table once, or twice where its values decide the split; `InputError` at the first NaN or infinity.

    `copies=False` does not look for equal rows, for interrupted runs of versions that did not: their split must not change.
    """
    config = check_split(config, features)
    keys, facts = RowKeys(features, config), ColumnFacts(features.rows, features.width)
    digest = hashlib.sha256(f"{features.rows}x{features.width}".encode())
    shares = config.validation_share, config.test_share
    check = partial(refuse_bad, features)

    def see(start: int, whole: Rows) -> None:
        digest.update(_values(whole))
        block = whole[:, : features.width]
        if features.fill is None:
            check(start, block)
        if copies:
            keys.add(start, block)
            facts.add(block if features.fill is None else block[np.isfinite(block).all(axis=1)])
        progress.advance(len(whole))

    split = split_time(features.rows, *shares) if config.split == "time" else split_rows(features.rows, *shares, config.seed)
    if features.fill is None:
        prepared = _gather(features, split, config.seed, see)
    else:  # the split decides the means, and values as they are decide the split
        for start, block in features.blocks():
            see(start, block)
        split = keys.split(config) if copies else split
        missing = replace_missing(features, split.train)
        prepared = replace(_gather(features, split, config.seed, check), missing=missing)
    refuse_huge(features, prepared.statistics)
    refuse_lost(features, prepared.constant)
    if copies:
        wanted = keys.split(config)
        if any(not np.array_equal(a, b) for a, b in zip(split, wanted, strict=True)):
            prepared = _gather(features, wanted, config.seed, lambda start, block: None)
        prepared = replace(prepared, copies=keys.copies, held_out_copies=keys.shared(wanted))
        prepared = replace(prepared, findings=_findings(facts, prepared.constant, features, progress))
    return replace(prepared, sha256=digest.hexdigest(), warnings=column_warnings(features, progress))


def _findings(facts: ColumnFacts, constant: Mask, features: Features, progress: TrainingProgress) -> tuple[Finding, ...]:
    """Findings about the columns, shown at once."""
    found = findings(facts, without(constant, features.rounding.columns()), features.called)
    for finding in found:
        progress.note(f"note: {finding.text}")
    return tuple(found)


def column_warnings(features: Features, progress: TrainingProgress) -> tuple[str, ...]:
    """Warnings about columns: rounding to float32, and row numbers; shown at once, with how the files are read."""
    warnings = row_numbers(features)
    if lossy := features.rounding.columns():
        warnings.append(sentence([features.called(column) for column in lossy]))
    for note in (*features.notes, *(f"warning: {text}" for text in warnings)):
        progress.note(note)
    return tuple(warnings)


def without(mask: Mask, columns: list[int]) -> Mask:
    """The mask [D] with these columns false: float32 has made them constant, the table has not."""
    left = mask.copy()
    left[columns] = False
    return left


def refuse_bad(features: Features, start: int, block: Rows) -> None:
    """`InputError` for NaN or infinity in rows [n, D] that begin at row `start`."""
    if bad := first_bad_value(block, start, features.columns):
        refuse_not_finite(features, bad)


def refuse_not_finite(features: Features, first: str) -> NoReturn:
    """`InputError` with the number of missing and of infinite values in each column; `first` names one."""
    missing, infinite = np.zeros((2, features.width), np.int64)
    for _, block in features.blocks():
        missing += np.isnan(block[:, : features.width]).sum(axis=0)
        infinite += np.isinf(block[:, : features.width]).sum(axis=0)
    counts = [
        f"{word} are {_by_column(features, found)}"
        for word, found in (("missing", missing), ("infinite", infinite))
        if found.any()
    ]
    remedy = "drop or repair such rows" + (", or give --missing mean or --missing drop" if missing.any() else "")
    raise InputError(f"features must be finite, but {first}; {', '.join(counts)}: {remedy}; aaptvae diagnose lists them")


def _by_column(features: Features, counts: NDArray[np.int64]) -> str:
    """`3 in column a, 1 in column b`."""
    found = np.flatnonzero(counts)
    shown = ", ".join(f"{counts[column]:,} in column {features.called(int(column))}" for column in found[:8])
    return shown + (f" and more in {len(found) - 8} other columns" if len(found) > 8 else "")


def refuse_huge(features: Features, statistics: Statistics) -> None:
    """`InputError` for values so near the limit of float32 that sums of them overflow."""
    largest = np.maximum(np.abs(statistics.minimum), np.abs(statistics.maximum))
    if (largest > LARGEST).any():
        column = int(largest.argmax())
        raise InputError(
            f"column {features.called(column)} goes up to {largest[column]:.3g}: expected at most {LARGEST:g}, because float32 "
            "ends at 3.4e+38: divide the column by a constant"
        )


def check_probabilities(config: TrainConfig, prepared: Prepared) -> None:
    """`InputError` if the likelihood is bernoulli and a feature lies outside [0, 1]."""
    held_out = [prepared.features_of(rows) for rows in (prepared.validation, prepared.test)]
    low = min(prepared.statistics.minimum.min(), *(rows.min() for rows in held_out))
    high = max(prepared.statistics.maximum.max(), *(rows.max() for rows in held_out))
    if config.likelihood == "bernoulli" and not 0 <= low <= high <= 1:
        raise InputError(
            f"features go from {low:.6g} to {high:.6g}: a bernoulli likelihood expects them in [0, 1]: rescale them, or use "
            "--likelihood student"
        )


def refuse_lost(features: Features, constant: Mask) -> None:
    """`InputError` where every column is constant; it names those that vary in float64, before rounding to float32."""
    if constant.all() and not (lost := features.rounding.columns()):
        raise InputError(
            "every column is constant, so that there is nothing to learn: expected one that varies: give other rows"
        )
    if constant.all():
        raise InputError(
            "every column is constant in float32, which training uses: "
            + sentence([features.called(column) for column in lost])
        )


def everything(features: Features, prepared: Prepared, seed: int) -> Prepared:
    """The table with every row a training row, the validation rows of `prepared` included."""
    split = Split(np.arange(features.rows), *prepared.split[1:])
    if features.fill is not None:
        replace_missing(features, split.train)
    whole = replace(_gather(features, split, seed, lambda start, block: None), sha256=prepared.sha256)
    return with_capped_scale(whole) if prepared.capped else whole


def _gather(features: Features, split: Split, seed: int, each: Callable[[int, Rows], object]) -> Prepared:
    """Moments of the training rows and the held-out rows of a split, in one pass that shows every block to `each` first."""
    count = min(SAMPLE_ROWS, max(LEAST_SAMPLE_ROWS, MOST_NUMBERS // features.width))
    sample = np.sort(np.random.default_rng([seed, 0x5A3]).permutation(split.train)[:count])
    moments = Moments(features.width, products=wants_covariance(len(split.train), features.width))
    products = Products(features.width, features.condition_dim) if features.condition_dim else None
    kept: tuple[list[Rows], ...] = ([], [], [])
    for start, block in features.blocks():
        each(start, block)
        rows = rows_within(split.train, start, block)
        moments.add(rows[:, : features.width])
        if products is not None:
            products.add(rows)
        for index, parts in zip((split.validation, split.test, sample), kept, strict=True):
            parts.append(rows_within(index, start, block))
    statistics = moments.statistics()
    constant = constant_columns(statistics, np.dtype(features.dtype))
    validation, test, train_sample = (np.concatenate(rows) for rows in kept)
    scale = column_scale(statistics, constant)
    given = None
    if products is not None and features.conditions is not None:
        given, statistics = products.regression(statistics, features.conditions.affine)
    held = validation, test, train_sample
    return Prepared("", split, statistics, scale, constant, *held, table=features, given=given)


def digest_of(features: Features) -> str:
    """SHA-256 of the shape and the values of a table; it does not depend on the file format or on shards."""
    digest = hashlib.sha256(f"{features.rows}x{features.width}".encode())
    for _, block in features.blocks():
        digest.update(_values(block))
    return digest.hexdigest()


def _values(block: Rows) -> memoryview:
    """The bytes of rows for a digest: little-endian float32 on every machine."""
    return np.ascontiguousarray(block, "<f4").data


def with_capped_scale(prepared: Prepared) -> Prepared:
    """The same rows in the units of older versions, whose scales are larger for columns with values far out."""
    return replace(prepared, scale=column_scale(prepared.statistics, prepared.constant, MOST_DEVIATIONS), capped=True)


def column_scale(statistics: Statistics, constant: Mask, most: float = math.inf) -> Matrix:
    """Positive scale of every column [D]: its standard deviation, or 1 where `constant` [D] is true.

    Larger where a training value would lie more than `most` scales out; of many columns a float32 number, to save bytes.
    """
    reach = np.maximum(statistics.maximum - statistics.mean, statistics.mean - statistics.minimum)
    scale = np.where(constant, 1.0, np.maximum(statistics.deviation, reach / most))
    return scale if statistics.width <= FEW_COLUMNS else scale.astype(np.float32).astype(np.float64)


def constant_columns(statistics: Statistics, dtype: np.dtype[Any] = _FLOAT32) -> Mask:
    """True for columns [D] whose range is at most `_ROUNDINGS` roundings of the type that the table is stored in."""
    largest = np.maximum(np.abs(statistics.minimum), np.abs(statistics.maximum))
    stored = dtype if dtype.kind == "f" and dtype.itemsize < _FLOAT32.itemsize else _FLOAT32  # rows are read as float32
    with np.errstate(over="ignore"):
        rounding = np.spacing(largest.astype(stored)).astype(np.float64)
    constant: Mask = statistics.maximum - statistics.minimum <= _ROUNDINGS * rounding
    return constant
