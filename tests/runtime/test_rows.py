"""What may be passed as rows, what is refused and in which words, and products whose bits ignore the batch."""

import re

import numpy as np
import pytest

from aaptvae import InputError
from aaptvae.rows import as_count, as_output, as_rows, steady_product


def test_contiguous_float32_is_taken_as_it_is() -> None:
    x = np.ones((3, 5), np.float32)
    assert as_rows(x, 5) is x


@pytest.mark.parametrize(
    "x",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], np.int64),
        np.array([[1, 2], [3, 4]], np.uint8),
        np.array([[1, 2], [3, 4]], np.float16),
        np.array([[1, 2], [3, 4]], ">f4"),
        np.asfortranarray(np.array([[1, 2], [3, 4]], np.float32)),
        np.array([[1, 2], [9, 9], [3, 4]], np.float32)[::2],
        np.frombuffer(b"\0" + np.array([1, 2, 3, 4], np.float32).tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 2),
    ],
    ids=["list", "int64", "uint8", "float16", "big-endian", "fortran", "strided", "misaligned"],
)
def test_numbers_of_any_layout_become_contiguous_float32(x: object) -> None:
    rows = as_rows(x, 2)
    assert rows.dtype == np.float32 and rows.dtype.isnative and rows.flags.c_contiguous and rows.flags.aligned
    assert rows.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones(2), r"x has shape \(2,\): expected two dimensions \[N, 2\]: for one row pass x.reshape\(1, -1\)"),
        (np.ones((1, 1, 2)), r"x has shape \(1, 1, 2\)"),
        (np.float32(3), r"x has shape \(\)"),
        (np.ones((1, 3)), "x has 3 columns: this bundle takes 2"),
        (np.ones((4, 0)), "x has 0 columns"),
        (np.ones((1, 2), bool), "dtype bool: expected floats or integers"),
        (np.ones((1, 2), complex), "dtype complex128"),
        (np.array([["a", "b"]]), "dtype <U1"),
        (np.array([[None, 1]], object), "dtype object"),
        (np.zeros((1, 2), "M8[s]"), "dtype datetime64"),
        ([[1, 2], [3]], "x is a list of rows of several lengths: expected 2 numbers"),
        (None, "dtype object"),
        (np.ma.masked_array(np.ones((1, 2)), [[True, False]]), "masked array"),
        (np.array([[1, 2], [3, np.nan]]), "x has nan at row 11, column 1: expected finite"),
        (np.array([[np.inf, 2]]), "x has inf at row 10, column 0"),
        (np.array([[np.inf, -np.inf]], np.float32), "x has inf at row 10, column 0"),
        (np.array([[1, -1e300]]), r"x has -1e\+300 at row 10, column 1"),
    ],
)
def test_invalid_rows_are_refused_with_a_remedy(x: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_rows(x, 2, "x", 10)


def test_large_finite_numbers_are_accepted() -> None:
    x = np.full((4, 3), 3e38, np.float32)
    assert as_rows(x, 3) is x


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (np.empty((2, 3)), r"out is float64 \(2, 3\): expected a writeable float32 array \(2, 3\)"),
        (np.empty((3, 3), np.float32), r"out is float32 \(3, 3\)"),
        ([[0.0] * 3] * 2, "out is list"),
        (np.broadcast_to(np.float32(0), (2, 3)), "expected a writeable"),
    ],
)
def test_an_unsuitable_output_array_is_refused(out: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_output(out, 2, 3)  # type: ignore[arg-type]


def test_an_output_overlapping_the_input_is_refused() -> None:
    x = np.zeros((4, 6), np.float32)
    with pytest.raises(InputError, match="out overlaps an input or another output"):
        as_output(x[1:], 3, 6, x[:3])
    beside = x[:, 3:]
    assert as_output(beside, 4, 3, x[:, :3]) is beside


def test_a_count_is_any_integer_from_1_up() -> None:
    assert [(as_count(value, "n"), type(as_count(value, "n"))) for value in (4, np.int64(4), np.uint8(4))] == [(4, int)] * 3
    for value in (0, -1, True, 2.0, "3", None, np.float32(1)):
        with pytest.raises(InputError, match=rf"n is {re.escape(repr(value))}: expected an integer from 1 up"):
            as_count(value, "n")  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [1, 2, 7, 64, 257])
def test_steady_products_do_not_depend_on_the_batch(width: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((300, width)), rng.standard_normal((width, width))
    whole = steady_product(a, b)
    np.testing.assert_allclose(whole, a @ b, rtol=1e-12, atol=1e-12)
    for rows in (1, 2, 3, 63, 64, 65, 200):
        assert np.array_equal(steady_product(a[:rows], b), whole[:rows])
    assert steady_product(a[:0], b).shape == (0, width)
