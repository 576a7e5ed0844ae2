"""Maps of columns from samples of the trained model to the distribution of the training rows (`density/marginals.py`).

A column of few, repeated values gets a step for each of them. Others get lines between quantiles: a value that many rows have
is a flat part, and values that are multiples of a decimal unit stay such multiples.
"""

import numpy as np
from numpy.typing import NDArray

from aaptvae.density.marginals import STEPS, Marginals
from aaptvae.density.prior import LatentPrior
from aaptvae.rows import Matrix, Rows

from ..model import AAPTVAE, decode, features_of, given, observation_of

MOST_KNOTS = 5 << 13  # of all columns: 320 KiB
LEAST_KNOTS = 4  # of a column that wants more
MOST_VALUES = 1_024  # of a column with a step for each
REPEATED = 0.5  # share of different values in a column of repeated ones, at most
OFTEN = 1 / 64  # share of the rows with one value that makes a flat part
_TAIL = 0.5 ** np.arange(24, 6, -1)
RANKS = np.concatenate([[0.0], _TAIL, (np.arange(64) + 0.5) / 64, 1 - _TAIL[::-1], [1.0]])  # of knots between which lines run
UNITS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)  # multiples of 1 / unit

SAMPLES = (4_096, 20_000)  # of the model: eight for each training row, but not fewer or more than these
MOST_NUMBERS = 1 << 24  # of those samples, and of training rows
_OTHER_SEED = 0x9E3779B97F4A7C15  # the samples of a map are not those that a user draws
_CHUNK, _BLOCK = 1_024, 64  # rows that are drawn at once, of few and of many columns
_FEW = 64

Knots = tuple[Matrix, Rows]  # ranks in [0, 1] and values


def maps_to_observed(model: AAPTVAE, prior: LatentPrior, observed: Rows, seed: int) -> Marginals | None:
    """The maps from samples of a model and its prior to training rows [N, D].

    None for a bernoulli likelihood: its samples with noise are 0 or 1 already.
    """
    if model.likelihood == "bernoulli":
        return None
    width, (least, most) = model.input_dim, SAMPLES
    count = min(max(least, min(most, 8 * len(observed))), max(1_000, MOST_NUMBERS // width))
    observation, drawn, seed = observation_of(model), np.empty((count, width), np.float32), seed ^ _OTHER_SEED
    step = max(_BLOCK, min(_CHUNK, MOST_NUMBERS // 8 // width))
    for start in range(0, count, step):
        stop = min(start + step, count)
        under = observed[np.arange(start, stop) % len(observed)]  # rows whose conditions samples have
        c = under[:, width:] if model.condition_dim else None
        rows = decode(model, given(model, prior.under(c).draw(seed, start, stop), under))
        drawn[start:stop] = observation.add_noise(rows, seed, start, stop)
    return fit_marginals(features_of(model, observed)[:: max(1, len(observed) * width // MOST_NUMBERS)], drawn)


def fit_marginals(observed: Rows, sampled: Rows) -> Marginals:
    """The maps from samples [S, D] of the model, with its noise, to training rows [N, D].

    Where the knots of all columns are more than `MOST_KNOTS`, those with most get fewer, all the same number. Where they would
    get fewer than `LEAST_KNOTS`, the maps only limit samples to the observed range and round them.
    """
    most = largest_share(np.array([len(_knots(column, MOST_KNOTS)[0][0]) for column in observed.T]))
    if most < LEAST_KNOTS:
        return ranges(observed)
    counts, rules, quantiles, values = [], [], [], []
    for column, drawn in zip(observed.T, sampled.T, strict=True):
        (ranks, own), has_steps = _knots(column, most)
        places = np.ceil(ranks * len(drawn)).astype(np.int64)
        counts.append(len(own))
        rules.append(STEPS if has_steps else _unit(column))
        quantiles.append(np.sort(drawn)[np.minimum(places, len(drawn) - 1)])
        values.append(own)
    knots = (np.concatenate(part).astype(np.float64) for part in (quantiles, values))
    return Marginals(np.array(counts, np.int64), np.array(rules), *knots)


def ranges(observed: Rows) -> Marginals:
    """Maps that limit samples to the range of each column of training rows [N, D], and round them to its decimal unit."""
    ends = np.stack([observed.min(axis=0), observed.max(axis=0)], axis=1).astype(np.float64).ravel()
    units = np.array([_unit(column) for column in observed.T])
    return Marginals(np.full(len(units), 2), units, ends, ends)


def largest_share(wanted: NDArray[np.int64]) -> int:
    """A limit of knots for each column with which all columns together have at most `MOST_KNOTS`.

    Columns ask for `wanted` [D] knots; those that ask for fewer than the limit get what they ask for.
    """
    share = MOST_KNOTS
    while np.minimum(wanted, share).sum() > MOST_KNOTS:
        share = share * 3 // 4
    return share


def _knots(column: Rows, most: int) -> tuple[Knots, bool]:
    """At most `most` knots of the observed quantile function of a column [N], and whether they are steps."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) <= min(MOST_VALUES, most) and len(values) <= max(1, REPEATED * len(column)):
        return ((np.cumsum(counts) - counts) / len(column), values), True
    knots = _lines(values, counts)
    return (knots if len(knots[0]) <= most else thinned(knots, most)), False


def _lines(values: Rows, counts: NDArray[np.int64]) -> Knots:
    """Knots at quantiles, at the ends, and at both ends of each flat part; the others stand in the middle of their ranks."""
    above = np.cumsum(counts)  # whole numbers of rows: where one value ends, the next one begins
    below, rows = above - counts, counts.sum()
    middles = (below + above) / (2 * rows)
    is_flat = (counts > 1) & (counts >= OFTEN * rows)
    chosen = np.union1d(np.searchsorted(middles, RANKS).clip(0, len(values) - 1), np.flatnonzero(is_flat))
    single, flat = chosen[~is_flat[chosen]], chosen[is_flat[chosen]]
    ranks = np.concatenate([middles[single], below[flat] / rows, above[flat] / rows])
    own = np.concatenate([values[single], values[flat], values[flat]])
    order = np.lexsort((own, ranks))
    ranks, own = ranks[order], own[order]
    needed = slice(int(len(own) > 2 and own[0] == own[1]), len(own) - int(len(own) > 2 and own[-1] == own[-2]))
    return ranks[needed], own[needed]  # beyond the knots a map is flat


def thinned(knots: Knots, most: int) -> Knots:
    """`most` of the knots: the ends, and then always the knot that is furthest from the lines through those kept."""
    ranks, values = knots
    kept = np.zeros(len(ranks), bool)
    kept[[0, -1]] = True
    for _ in range(min(most, len(ranks)) - 2):
        error = np.abs(values - np.interp(ranks, ranks[kept], values[kept]))
        error[kept] = -1.0
        kept[error.argmax()] = True
    return ranks[kept], values[kept]


def _unit(values: Rows) -> float:
    """The smallest of `UNITS` of which all values are whole multiples in float32; 0 where there is none."""
    for unit in UNITS:
        if _are_multiples(values[:_FEW], unit) and _are_multiples(values, unit):
            return unit
    return 0.0


def _are_multiples(values: Rows, unit: float) -> bool:
    rounded = np.floor(values.astype(np.float64) * unit + 0.5) / unit
    return np.array_equal(rounded.astype(np.float32), values)
