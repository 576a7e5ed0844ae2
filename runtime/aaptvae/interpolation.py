"""Paths between latents: straight, or along the sphere with interpolated magnitude."""

from typing import Literal

import numpy as np

from .errors import InputError
from .rows import Nats, Rows, as_count

Curve = Literal["linear", "slerp"]


def walk(a: Rows, b: Rows, steps: int, path: Curve = "linear") -> Rows:
    """From each row of `a` to the same row of `b` [N, L] in `steps` equal steps: [N, steps + 1, L], both ends exact."""
    t = np.linspace(0, 1, as_count(steps, "steps") + 1)[:, None]
    points = between(a[:, None], b[:, None], t, path)
    points[:, 0], points[:, -1] = a, b
    return points


def between(a: Rows, b: Rows, share: Nats, path: Curve) -> Rows:
    """Points at a `share` of the way from `a` to `b` [..., L]; the three broadcast against each other."""
    if path not in ("linear", "slerp"):
        raise InputError(f'path is {path!r}: expected "linear" or "slerp"')
    start, end = a.astype(np.float64), b.astype(np.float64)
    points = start * (1 - share) + end * share
    return (points if path == "linear" else _bend(points, start, end, share)).astype(np.float32)


def _bend(straight: np.ndarray, start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Shoemake's slerp of directions times the linear interpolation of lengths; linear for parallel vectors."""
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (start, end)]
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = start / lengths[0], end / lengths[1]
        angle = np.arccos(np.clip((u * v).sum(axis=-1, keepdims=True), -1, 1))
        arc = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    arc *= lengths[0] * (1 - t) + lengths[1] * t
    bends = np.sin(angle) > 1e-6  # False for parallel, opposite and zero vectors (NaN)
    return np.where(bends, arc, straight)


def resample(z: Rows, times: Nats, at: Nats, path: Curve = "linear") -> Rows:
    """Latents at other times of one sequence: `z` [N, L] at increasing `times` [N] -> [M, L] at the times `at` [M].

    Between two neighbouring rows of `z` as in `walk`; at a time of a row, that row exactly. Raises `InputError` for times
    that do not increase or are not finite, and for times outside of those of the sequence, which would be extrapolation.
    """
    times, at = np.asarray(times, np.float64), np.asarray(at, np.float64)
    if times.shape != (len(z),) or len(z) < 2:
        raise InputError(f"times have shape {times.shape}: expected one for each of the {len(z)} rows, and 2 rows at least")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise InputError(
            "times must be finite and increase from row to row: sort the rows, and leave out all but one of equal times"
        )
    if at.ndim != 1 or not (np.isfinite(at).all() and (at >= times[0]).all() and (at <= times[-1]).all()):
        raise InputError(f"at has times outside of {times[0]:g} to {times[-1]:g}, the sequence's: there is no extrapolation")
    before = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(z) - 2)
    share = (at - times[before]) / (times[before + 1] - times[before])
    points = between(z[before], z[before + 1], share[:, None], path)
    exact = np.flatnonzero((share == 0) | (share == 1))
    points[exact] = z[before[exact] + share[exact].astype(np.int64)]
    return points
