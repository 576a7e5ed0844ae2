"""Rows as grey pictures, in tiles, of a run with an image shape. Axes in, axes out."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aaptvae.errors import InputError
from aaptvae.interpolation import walk
from aaptvae.rows import Rows

from .judged import JudgedRun
from .style import axes_or_new

PICTURES, COLUMNS = 24, 12
WALKS = 2
SEAM = np.nan  # left transparent


def plot_tiles(
    rows: Rows,
    image_shape: tuple[int, int],
    ax: Axes | None = None,
    columns: int = COLUMNS,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Rows [N, D] as pictures, `columns` beside each other; `limits` are the values of black and white."""
    low, high = limits or (float(np.min(rows)), float(np.max(rows)))
    wall = tiles(rows.reshape(-1, *image_shape), columns)
    ax = axes_or_new(ax, (7.0, 7.0 * wall.shape[0] / wall.shape[1]))
    ax.imshow(wall, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), interpolation="none", aspect="equal")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def tiles(images: NDArray[np.floating], columns: int) -> NDArray[np.floating]:
    """Pictures [N, height, width] in one, `columns` beside each other, with a seam of NaN and NaN for missing ones."""
    count, height, width = images.shape
    rows = -(-count // columns)
    wall = np.full((rows * columns, height + 1, width + 1), SEAM, images.dtype)
    wall[:count, :-1, :-1] = images
    grid = wall.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return grid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]


def show_tiles(rows: Rows, run: JudgedRun, columns: int, ax: Axes | None) -> Axes:
    """Rows as pictures on the grey scale of the run's held-out rows; `InputError` for a run without an image shape."""
    if run.image_shape is None:
        raise InputError("the run has no image shape: open it by open_report(folder, image_shape=(height, width))")
    low, high = np.percentile(run.test, (0.5, 99.5))
    return plot_tiles(rows, run.image_shape, ax, columns, (float(low), float(high)))


def columns_for(run: JudgedRun) -> int:
    """Pictures beside each other: fewer where they are wide."""
    height, width = run.image_shape or (1, 1)
    return min(COLUMNS, max(4, round(COLUMNS * height / width)))


def plot_pictures(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """The first held-out rows."""
    return show_tiles(run.test[:PICTURES], run, columns_for(run), ax)


def plot_reconstructions(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """The first held-out rows after encoding and decoding."""
    return show_tiles(run.reconstruction[:PICTURES], run, columns_for(run), ax)


def plot_samples(run: JudgedRun, ax: Axes | None = None, *, noise: bool = False) -> Axes:
    """Decoded draws from the fitted prior; with `noise`, draws of the observation model around them.

    Under conditions of held-out rows, in their order: pictures of a category stand together.
    """
    judge, given = run.judge, run.held_out
    c = judge.conditions(given)
    if c is not None:
        order = np.lexsort(-c.T[::-1])
        given = given[order[np.linspace(0, len(order) - 1, PICTURES).astype(np.int64)]]
    rows = judge.sample(PICTURES, given) if noise else judge.sample_means(PICTURES, given)
    return show_tiles(rows, run, columns_for(run), ax)


def plot_interpolation(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """Straight paths between the latents of held-out rows, decoded: one line of pictures for each pair of rows."""
    mu = run.posterior[0]
    pairs = min(WALKS, len(mu) // 2)
    steps = 2 * columns_for(run)
    path = walk(mu[:pairs], mu[pairs : 2 * pairs], steps - 1)
    # Both ends of a path under the conditions of its start.
    rows = np.repeat(run.held_out[:pairs], steps, axis=0)
    return show_tiles(run.judge.decode(path.reshape(-1, mu.shape[1]), rows), run, steps, ax)
