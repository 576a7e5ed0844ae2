"""Paths between latents: straight, or along the sphere with interpolated magnitude."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .engine import require_memory
from .errors import InputError
from .rows import Nats, Rows, as_count

Curve = Literal["linear", "slerp"]


def walk(a: Rows, b: Rows, steps: int, path: Curve = "linear") -> Rows:
    """From each row of `a` to the same row of `b` [N, L] in `steps` equal steps: [N, steps + 1, L], both ends exact."""
    count = len(a) * (as_count(steps, "steps") + 1)
    require_memory(f"a walk of {count:,} points", 24.0 * count * a.shape[1], "ask for fewer steps, or for fewer rows at a time")
    t = np.linspace(0, 1, steps + 1)[:, None]
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


def as_times(values: ArrayLike, name: str) -> Nats:
    """Times [N] as float64; `InputError` for other shapes and for values that are no numbers."""
    try:
        times = np.asarray(values, np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{name} are no numbers, {values!r:.100}: expected one number for each row: convert them") from None
    if times.ndim != 1:
        raise InputError(f"{name} have shape {times.shape}: expected one dimension [N]: pass a list of numbers")
    return times


def resample(z: Rows, times: Nats, at: Nats, path: Curve = "linear") -> Rows:
    """Latents at other times of one sequence: `z` [N, L] at increasing `times` [N] -> [M, L] at the times `at` [M].

    Between two neighbouring rows of `z` as in `walk`; at a time of a row, that row exactly. Raises `InputError` for times
    that do not increase or are not finite, and for times outside of those of the sequence, which would be extrapolation.
    """
    if times.shape != (len(z),) or len(z) < 2:
        raise InputError(f"times have shape {times.shape}: expected one for each of the {len(z)} rows, and 2 rows at least")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise InputError(
            "times must be finite and increase from row to row: sort the rows, and leave out all but one of equal times"
        )
    if not (np.isfinite(at).all() and (at >= times[0]).all() and (at <= times[-1]).all()):
        raise InputError(f"at has times outside of {times[0]:g} to {times[-1]:g}, the sequence's: there is no extrapolation")
    before = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(z) - 2)
    share = (at - times[before]) / (times[before + 1] - times[before])
    points = between(z[before], z[before + 1], share[:, None], path)
    exact = np.flatnonzero((share == 0) | (share == 1))
    points[exact] = z[before[exact] + share[exact].astype(np.int64)]
    return points
