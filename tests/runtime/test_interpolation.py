"""Paths between latents."""

import numpy as np
import pytest

from aaptvae import InputError
from aaptvae.interpolation import as_times, resample, walk

A = np.array([[3, 0], [1, 1], [0, 0], [1, 2]], np.float32)
B = np.array([[0, 5], [2, 2], [4, 0], [-1, -2]], np.float32)


@pytest.mark.parametrize("path", ["linear", "slerp"])
def test_both_ends_are_exact(path: str) -> None:
    points = walk(A / 3, B / 7, 6, path)  # type: ignore[arg-type]
    assert points.shape == (4, 7, 2) and points.dtype == np.float32
    assert np.array_equal(points[:, 0], A / 3) and np.array_equal(points[:, -1], B / 7)


def test_linear_is_the_straight_line() -> None:
    assert np.allclose(walk(A, B, 4)[:, 1], 0.75 * A + 0.25 * B)


def test_slerp_turns_evenly_and_interpolates_the_length() -> None:
    turn = walk(A[:1], B[:1], 9, "slerp")[0].astype(np.float64)
    assert np.allclose(np.linalg.norm(turn, axis=1), np.linspace(3, 5, 10))
    assert np.allclose(np.degrees(np.arctan2(turn[:, 1], turn[:, 0])), np.linspace(0, 90, 10), atol=1e-4)


def test_parallel_and_zero_vectors_interpolate_linearly() -> None:
    assert np.allclose(walk(A[1:], B[1:], 5, "slerp"), walk(A[1:], B[1:], 5, "linear"))


def test_steps_and_paths_without_sense_are_refused() -> None:
    with pytest.raises(InputError, match="steps is 0: expected an integer from 1 up"):
        walk(A, B, 0)
    with pytest.raises(InputError, match='expected "linear" or "slerp"'):
        walk(A, B, 2, "cubic")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["linear", "slerp"])
def test_resampled_latents_pass_through_the_rows(path: str) -> None:
    times = np.array([0.0, 0.1, 0.7, 3.0])
    assert np.array_equal(resample(A / 3, times, times, path), A / 3)  # type: ignore[arg-type]
    middle = resample(A, times, np.array([0.4, 0.05]), path)  # type: ignore[arg-type]
    expected = [walk(A[1:2], A[2:3], 2, path)[0, 1], walk(A[:1], A[1:2], 2, path)[0, 1]]  # type: ignore[arg-type]
    assert np.allclose(middle, expected, atol=1e-6)


@pytest.mark.parametrize(("values", "words"), [(["a", "b"], "times are no numbers"), (0.5, r"times have shape \(\)")])
def test_times_that_are_no_numbers_are_refused(values: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_times(values, "times")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("times", "at", "words"),
    [
        ([0, 1, 1, 2], [0], "increase from row to row"),
        ([0, 1, np.nan, 2], [0], "must be finite"),
        ([0, 1, 2], [0], "one for each of the 4 rows"),
        ([0, 1, 2, 3], [3.1], "there is no extrapolation"),
        ([0, 1, 2, 3], [np.nan], "there is no extrapolation"),
    ],
)
def test_times_without_sense_are_refused(times: list[float], at: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        resample(A, np.array(times), np.array(at))
