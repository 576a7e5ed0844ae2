"""Plots of columns: errors, samples beside inputs, and how a latent moves them. Axes in, axes out."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aaptvae.rows import Matrix

from .judged import JudgedRun
from .picture_plots import show_tiles
from .style import BASELINE, GAUSSIAN, GROUPS, MODEL, ROWS, SMALL, axes_or_new, bins_for, filled_histogram, outline, plain

BINS = 24
SHOWN_COLUMNS = 20
MOVED_COLUMNS = 5
STEPS = 9


def plot_error_by_column(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """Mean squared error of the standardised columns that are reconstructed worst, beside PCA's."""
    ax = axes_or_new(ax)
    x, reconstruction = run.judge.standardise(run.test), run.judge.standardise(run.reconstruction)
    errors = {
        "this model": ((x - reconstruction) ** 2).mean(axis=0),
        "PCA": ((x - run.judge.pca(run.held_out)) ** 2).mean(axis=0),
    }
    worst = np.argsort(-errors["this model"], kind="stable")[:SHOWN_COLUMNS]
    position = np.arange(len(worst))
    ax.bar(position, errors["this model"][worst], 0.7, color=MODEL, alpha=0.6, label="this model")
    ax.plot(position, errors["PCA"][worst], "_", color=BASELINE, markersize=9, markeredgewidth=2, label="PCA")
    ax.set_xticks(position, [str(column) for column in worst], rotation=90 if len(worst) > 12 else 0)
    ax.set(xlabel="column, largest error first", ylabel="mean squared error", ylim=(0, None))
    ax.legend(fontsize="small")
    return plain(ax)


def plot_feature_histogram(run: JudgedRun, column: int | None = None, ax: Axes | None = None) -> Axes:
    """Histogram of a column in held-out rows and in samples; by default of the column where the two differ most.

    Samples as observed stand beside them where the column's values are rounded, or few and repeated.
    """
    ax = axes_or_new(ax, SMALL)
    column = int(columns_by_difference(run)[0]) if column is None else column
    rows, samples = run.test[:, column].astype(np.float64), run.samples[:, column].astype(np.float64)
    low, high = np.percentile(np.concatenate([rows, samples]), (0.5, 99.5))
    edges = np.linspace(low, high if high > low else low + 1.0, bins_for(len(rows), BINS) + 1)
    groups = [(rows, ROWS, "held-out rows", filled_histogram), (samples, MODEL, "samples", outline)]
    if run.judge.marginals is not None and run.judge.marginals.rules[column]:
        groups.append((run.samples_as_observed[:, column].astype(np.float64), GAUSSIAN, "samples as observed", outline))
    for values, colour, label, draw in groups:
        share = 100 * np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        draw(ax, share, edges, colour, label)
    ax.set(xlabel=run.column(column), ylabel="% of rows")
    return plain(ax)


def columns_by_difference(run: JudgedRun) -> NDArray[np.int64]:
    """Columns by the Kolmogorov-Smirnov distance between held-out rows and samples, largest first, constant ones last: [D]."""
    rows, samples = np.sort(run.test, axis=0), np.sort(run.samples, axis=0)
    distance = np.zeros(rows.shape[1])
    for column in np.flatnonzero(rows[0] < rows[-1]):
        values = np.concatenate([rows[:, column], samples[:, column]])
        reached = [np.searchsorted(part[:, column], values, "right") / len(part) for part in (rows, samples)]
        distance[column] = np.abs(reached[0] - reached[1]).max()
    return np.argsort(-distance, kind="stable")


def plot_traversal(run: JudgedRun, latent: int | None = None, ax: Axes | None = None) -> Axes:
    """Decoded rows as one latent goes from -3 to 3 deviations, the others at their means; by default the one with most KL.

    Pictures where the run has an image shape; else the standardised columns that move most.
    """
    latent = int(run.order[0]) if latent is None else latent
    steps, rows = traverse(run, latent)
    if run.image_shape is not None:
        ax = show_tiles(rows, run, len(steps), ax)
        ax.set(xlabel=f"latent {latent}")
        return ax
    ax = axes_or_new(ax, SMALL)
    moved = run.judge.standardise(rows)
    for column, colour in zip(np.argsort(-np.ptp(moved, axis=0), kind="stable")[:MOVED_COLUMNS], GROUPS, strict=False):
        ax.plot(steps, moved[:, column], color=colour, label=run.column(column))
    ax.set(xlabel=f"latent {latent}, deviations from its mean", ylabel="standardised value")
    ax.legend(fontsize="small")
    return plain(ax)


def traverse(run: JudgedRun, latent: int) -> tuple[Matrix, NDArray[np.float32]]:
    """Steps in deviations of the posterior means [S], and the rows that they decode to [S, D].

    Conditions are those of the first held-out row.
    """
    mu = run.posterior[0]
    steps = np.linspace(-3, 3, STEPS)
    z = np.repeat(mu.mean(axis=0, keepdims=True), STEPS, axis=0)
    z[:, latent] += (steps * mu[:, latent].std()).astype(np.float32)
    return steps, run.judge.decode(z, np.repeat(run.held_out[:1], STEPS, axis=0))
