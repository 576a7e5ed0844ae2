"""Maps of columns from samples to observed values: order, range, observed values, and arrays that are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaptvae.density.marginals import STEPS, Marginals, mapped
from aaptvae.errors import BundleError

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
GOOD = {"counts": [2, 3], "rules": [-1, 0], "quantiles": [0, 1, -1, 0, 2], "values": [0, 1, 5, 5, 9]}


def arrays(**changes: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(values, np.float32) for name, values in (GOOD | changes).items()}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9),
    st.lists(numbers, max_size=20),
    st.sampled_from([-1, 0, 1, 100]),
)
def test_maps_keep_order_and_range(knots, x, rule):
    """Also where quantiles or values are equal, and at the ends of float32."""
    quantiles, values = np.sort(np.array(knots, np.float32).astype(np.float64), axis=0).T
    x = np.sort(np.array([*x, *quantiles], np.float32))
    found = mapped(x, quantiles, values, rule)
    assert (np.diff(found) >= 0).all()
    assert found.min() >= values[0] and found.max() <= values[-1]
    if rule == STEPS:
        assert set(found) <= set(values)


def test_lines_steps_and_flat_parts():
    x = np.array([[-9, -9], [0.5, -0.5], [1, 1], [9, 9]], np.float32)
    Marginals.from_arrays(arrays()).apply(x)
    np.testing.assert_array_equal(x, [[0, 5], [0, 5], [1, 7], [1, 9]])


def test_lines_are_rounded_to_a_unit():
    found = mapped(np.array([0.0, 0.26, 0.5, 1.0]), np.array([0.0, 1.0]), np.array([0.0, 10.0]), 1)
    np.testing.assert_array_equal(found, [0, 3, 5, 10])


def test_arrays_are_read_as_written():
    again = Marginals.from_arrays(Marginals.from_arrays(arrays()).to_arrays()).to_arrays()
    assert {name: list(array) for name, array in again.items()} == GOOD


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": [2, 2]},
        {"counts": [0, 5]},
        {"counts": [2.5, 2.5]},
        {"counts": [-1, 6]},
        {"counts": [1e30, 3]},
        {"counts": [], "rules": []},
        {"rules": [-1]},
        {"rules": [-0.5, 0]},
        {"rules": [0, 1e7]},
        {"values": [0, 1, 5, 9, 5]},
        {"values": [0, 1, 5, 5]},
        {"quantiles": [1, 0, -1, 0, 2]},
    ],
)
def test_other_arrays_are_refused(changes):
    with pytest.raises(BundleError, match="marginals has"):
        Marginals.from_arrays(arrays(**changes))
