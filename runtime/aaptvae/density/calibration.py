"""How unusual a row is, as a share of held-out rows: a conformal p-value (Vovk et al. 2005, chapter 2)."""

import numpy as np

from ..errors import BundleError
from ..rows import Arrays, Nats

NAME = "heldout_elbo"  # in likelihood.npz: ELBO of held-out rows, ascending [n]
MOST_VALUES = 1_000


def reference_of(elbo: Nats) -> Nats:
    """At most `MOST_VALUES` of the ELBO of held-out rows, ascending, spread evenly over their order."""
    ascending = np.sort(elbo)
    chosen = np.linspace(0, len(ascending) - 1, min(len(ascending), MOST_VALUES)).round().astype(np.int64)
    reference: Nats = ascending[chosen]
    return reference


def read_reference(arrays: Arrays) -> Nats | None:
    """The reference in the arrays of `likelihood.npz`, None if it holds none; `BundleError` unless it ascends."""
    if NAME not in arrays:
        return None
    reference: Nats = np.asarray(arrays[NAME], np.float64)
    if not len(reference) or (np.diff(reference) < 0).any():
        raise BundleError(
            f"{NAME} has {len(reference)} values: expected one or more in ascending order: export the bundle again"
        )
    return reference


def p_values(elbo: Nats, reference: Nats | None) -> Nats:
    """Share of held-out rows whose ELBO is as low as each row's or lower, the row itself counted: [N], above 0, at most 1.

    For rows like the held-out ones it is uniform, so that a threshold of 0.01 marks one in a hundred of them. NaN without a
    `reference`.
    """
    if reference is None:
        return np.full(len(elbo), np.nan)
    lower = np.searchsorted(reference, elbo, side="right")
    shares: Nats = (lower + 1) / (len(reference) + 1)
    return shares
