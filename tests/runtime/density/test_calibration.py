"""p-values count held-out rows that are as far out."""

import numpy as np
import pytest

from aaptvae import BundleError
from aaptvae.density.calibration import MOST_VALUES, NAME, p_values, read_reference, reference_of


def test_p_values_count_rows_as_far_out() -> None:
    reference = np.array([-4.0, -3.0, -3.0, -1.0])
    got = p_values(np.array([-9.0, -4.0, -3.0, -2.0, 0.0]), reference)
    assert got.tolist() == [1 / 5, 2 / 5, 4 / 5, 4 / 5, 1.0]


def test_p_values_of_like_rows_are_uniform() -> None:
    rng = np.random.default_rng(0)
    got = p_values(rng.standard_normal(20_000), reference_of(rng.standard_normal(50_000)))
    for level in (0.01, 0.05, 0.5):
        assert abs((got <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 1_000)


def test_a_reference_is_short_and_ascends() -> None:
    values = np.random.default_rng(1).standard_normal(3_000)
    reference = reference_of(values)
    assert len(reference) == MOST_VALUES
    assert (np.diff(reference) >= 0).all()
    assert (reference[0], reference[-1]) == (values.min(), values.max())


def test_no_reference_gives_nan() -> None:
    assert read_reference({}) is None
    assert np.isnan(p_values(np.zeros(3), None)).all()


@pytest.mark.parametrize("values", [[], [2.0, 1.0]])
def test_a_damaged_reference_is_refused(values: list[float]) -> None:
    with pytest.raises(BundleError, match="in ascending order"):
        read_reference({NAME: np.array(values)})
