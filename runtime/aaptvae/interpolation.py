"""Paths between latents: straight, or along the sphere with interpolated magnitude."""

from typing import Literal

import numpy as np

from .errors import InputError
from .rows import Rows, as_count

Curve = Literal["linear", "slerp"]


def walk(a: Rows, b: Rows, steps: int, path: Curve = "linear") -> Rows:
    """From each row of `a` to the same row of `b` [N, L] in `steps` equal steps: [N, steps + 1, L], both ends exact."""
    steps = as_count(steps, "steps")
    if path not in ("linear", "slerp"):
        raise InputError(f'path is {path!r}: expected "linear" or "slerp"')
    t = np.linspace(0, 1, steps + 1)[:, None]
    start, end = a[:, None].astype(np.float64), b[:, None].astype(np.float64)
    points = start * (1 - t) + end * t
    if path == "slerp":
        points = _bend(points, start, end, t)
    points[:, 0], points[:, -1] = a, b
    return points.astype(np.float32)


def _bend(straight: np.ndarray, start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Shoemake's slerp of directions times the linear interpolation of lengths; linear for parallel vectors."""
    lengths = [np.linalg.norm(v, axis=2, keepdims=True) for v in (start, end)]
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = start / lengths[0], end / lengths[1]
        angle = np.arccos(np.clip((u * v).sum(axis=2, keepdims=True), -1, 1))
        arc = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    arc *= lengths[0] * (1 - t) + lengths[1] * t
    bends = np.sin(angle) > 1e-6  # False for parallel, opposite and zero vectors (NaN)
    return np.where(bends, arc, straight)
