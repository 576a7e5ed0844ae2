"""Paths between latents."""

import numpy as np
import pytest

from aaptvae import InputError
from aaptvae.interpolation import walk

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
