"""Plots of the latents of held-out rows. Axes in, axes out."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from numpy.typing import NDArray

from aaptvae.density.noise import Stream, normal_rows
from aaptvae.errors import InputError
from aaptvae.rows import Matrix

from ..linear.ppca import principal_axes
from .judged import JudgedRun
from .style import BASELINE, GROUPS, HIGH, LOW, MIDDLE, MODEL, ROWS, SMALL, axes_or_new, bins_for, filled_histogram, plain

MOST_POINTS = 1_000
CLASSES = 6  # of a colour scale
BINS = 24
REACH = 4.0  # deviations that histograms of latents show


def plot_kl_spectrum(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """KL divergence of each latent, beside that of probabilistic PCA: ln(eigenvalue / noise variance) / 2."""
    ax = axes_or_new(ax)
    filled_histogram(ax, run.kl[run.order], np.arange(len(run.kl) + 1) + 0.5, MODEL, "this model")
    if run.judge.model.likelihood != "bernoulli":
        ppca = run.judge.ppca
        linear = 0.5 * np.log(np.maximum(ppca.eigenvalues[: ppca.latents] / ppca.variance, 1.0))
        ax.plot(np.arange(1, len(linear) + 1), linear, color=BASELINE, marker=".", label="pPCA")
    ax.set(xlabel="latent, by KL divergence", ylabel="nats", xlim=(0.5, len(run.kl) + 0.5))
    ax.legend(fontsize="small")
    return plain(ax, ax.xaxis)


def plot_aggregate_posterior(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """Mean and standard deviation of every latent over all held-out rows; under N(0, I) they span -1 to 1."""
    ax = axes_or_new(ax)
    mu, logvar = (part[:, run.order].astype(np.float64) for part in run.posterior)
    mean, deviation = mu.mean(axis=0), np.sqrt(mu.var(axis=0) + np.exp(logvar).mean(axis=0))
    position = np.arange(1, len(mean) + 1)
    ax.bar(position, 2 * deviation, 0.6, mean - deviation, color=MODEL, alpha=0.7, label="mean ± standard deviation")
    for height, label in ((1.0, "N(0, I)"), (-1.0, None)):
        ax.axhline(height, color=ROWS, linestyle="--", linewidth=1.3, label=label)
    most = 1.15 * max(1.0, float((np.abs(mean) + deviation).max()))
    ax.set(xlabel="latent, by KL divergence", ylabel="z", ylim=(-most, most), xlim=(0, len(mean) + 1))
    ax.legend(fontsize="small")
    return plain(ax, ax.xaxis)


def plot_latent_histogram(run: JudgedRun, latent: int | None = None, ax: Axes | None = None) -> Axes:
    """One posterior draw per held-out row beside the density of N(0, 1); by default of the latent with most KL."""
    ax = axes_or_new(ax, SMALL)
    latent = int(run.order[0]) if latent is None else latent
    mu, logvar = run.posterior
    noise = normal_rows(run.judge.seed, 0, len(mu), mu.shape[1], Stream.LATENT)[:, latent]
    z = mu[:, latent] + np.exp(0.5 * logvar[:, latent]) * noise
    heights, edges = np.histogram(np.clip(z, -REACH, REACH), bins_for(len(z), BINS), (-REACH, REACH))
    filled_histogram(ax, heights / (len(z) * (edges[1] - edges[0])), edges, MODEL, "posterior of held-out rows")
    grid = np.linspace(-REACH, REACH, 81)
    ax.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi), color=BASELINE, label="N(0, 1)")
    ax.set(xlabel=f"latent {latent}", ylabel="density", xlim=(-REACH, REACH))
    return plain(ax)


def plot_latent_map(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """Posterior means of held-out rows on their first two principal axes, coloured by label, else by reconstruction error."""
    ax = axes_or_new(ax)
    points, shares = principal_plane(run.posterior[0])
    shown = np.linspace(0, len(points) - 1, min(MOST_POINTS, len(points))).astype(np.int64)
    points = points[shown]
    if run.labels is None:
        _by_value(ax, points, run.errors[shown], "error")
    elif run.labels.dtype.kind == "f" and len(np.unique(run.labels)) > len(GROUPS):
        _by_value(ax, points, run.labels[shown].astype(np.float64), "label")
    else:
        _by_group(ax, points, run.labels[shown])
    ax.set(**_plane_labels(shares))
    ax.legend(fontsize="small", markerscale=1.4)
    return plain(ax)


def plot_trajectories(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """Posterior means of the largest groups of held-out rows, joined in the order of the table, on two principal axes.

    Groups are rows of equal labels; without labels those of `--split group`. `InputError` for a run with neither.
    """
    ax = axes_or_new(ax)
    groups = run.groups
    if groups is None:
        raise InputError("this run has no groups of rows: give labels to open_report, or train with --split group")
    points, shares = principal_plane(run.posterior[0])
    names, counts = np.unique(groups.astype(str), return_counts=True)
    for name, colour in zip(names[np.argsort(-counts, kind="stable")], GROUPS, strict=False):
        path = points[groups.astype(str) == name]
        ax.plot(*path.T, color=colour, linewidth=1, marker=".", markersize=3, label=name)
        ax.plot(*path[0], color=colour, marker="o", markersize=6)  # where it begins
    ax.set(**_plane_labels(shares))
    ax.legend(fontsize="small")
    return plain(ax)


def principal_plane(mu: NDArray[Any]) -> tuple[Matrix, Matrix]:
    """Rows [N, L] on their first two principal axes [N, 2], and the share of variance of each; zeros where L is 1."""
    centred = mu.astype(np.float64) - mu.mean(axis=0)
    values, vectors = principal_axes(np.atleast_2d(np.cov(centred, rowvar=False, bias=True)))
    plane, shares = np.zeros((len(mu), 2)), np.zeros(2)
    kept = min(2, len(values))
    plane[:, :kept] = centred @ vectors[:, :kept]
    shares[:kept] = values[:kept] / max(float(values.sum()), 1e-12)
    return plane, shares


def _plane_labels(shares: Matrix) -> dict[str, Any]:
    first, second = (f"{share:.0%}" for share in shares)
    return {"xlabel": f"principal axis 1 of the latents ({first} of variance)", "ylabel": f"principal axis 2 ({second})"}


def _by_value(ax: Axes, points: Matrix, values: Matrix, name: str) -> None:
    """Points coloured by classes of equal size, with one entry of the legend for each."""
    edges = np.unique(np.percentile(values, np.linspace(0, 100, CLASSES + 1)))
    if len(edges) < 2:
        _dots(ax, points, MODEL, f"{name} {edges[0]:.3g}")
        return
    colours = LinearSegmentedColormap.from_list(name, [LOW, MIDDLE, HIGH], len(edges) - 1)
    classes = BoundaryNorm(edges, len(edges) - 1)(np.minimum(values, np.nextafter(edges[-1], edges[0])))
    for number in range(len(edges) - 1):
        label = f"{name} {edges[number]:.2g} to {edges[number + 1]:.2g}"
        _dots(ax, points[classes == number], colours(number), label)


def _dots(ax: Axes, points: Matrix, colour: Any, label: str) -> None:
    ax.scatter(points[:, 0], points[:, 1], s=9, color=colour, label=label)


def _by_group(ax: Axes, points: Matrix, labels: NDArray[Any]) -> None:
    """Points coloured by label; the rarest share one colour where there are more labels than colours."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    named = sorted(names[np.argsort(-counts, kind="stable")][: len(GROUPS) - (len(names) > len(GROUPS))], key=_number_first)
    for name, colour in zip(named, GROUPS, strict=False):
        _dots(ax, points[labels.astype(str) == name], colour, name)
    if len(named) < len(names):
        _dots(ax, points[~np.isin(labels.astype(str), named)], GROUPS[-1], "other")


def _number_first(name: str) -> tuple[float, str]:
    """Sorts 2 before 10, and numbers before words."""
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name
