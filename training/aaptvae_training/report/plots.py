"""Plots of the whole run: training curves, errors of rows, spread of samples. Axes in, axes out."""

import numpy as np
from matplotlib.axes import Axes

from aaptvae.rows import Matrix

from .judged import JudgedRun
from .style import BASELINE, GAUSSIAN, MODEL, ROWS, axes_or_new, bins_for, filled_histogram, logarithmic, outline, plain

BINS = 40


def plot_training_curves(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """ELBO by epoch, and the log-likelihoods on held-out rows as horizontal lines."""
    ax = axes_or_new(ax)
    metrics, baseline = run.evaluation.metrics, run.evaluation.baseline
    epochs = [line["epoch"] for line in run.history]
    seen, validation = (np.array([line.get(key, np.nan) for line in run.history]) for key in ("train_elbo", "validation_elbo"))
    ax.plot(epochs, seen, color=ROWS, label="ELBO, training rows")
    ax.plot(epochs, validation, color=MODEL, label="ELBO, validation rows")
    levels = [("log-likelihood", MODEL, metrics["log_likelihood"])]
    for key, label, colour in (
        ("ppca_log_likelihood", "pPCA", BASELINE),
        ("gaussian_log_likelihood", "full Gaussian", GAUSSIAN),
    ):
        if key in baseline:
            levels.append((label, colour, baseline[key]))
    for label, colour, height in levels:
        ax.axhline(height, color=colour, linestyle="--", linewidth=1.3, label=label)
    ax.set_ylim(*_range_of_interest([seen, validation, *(np.array([height]) for _, _, height in levels)]))
    ax.set(xlabel="epoch", ylabel="nats per row")
    ax.legend(fontsize="small")
    return plain(ax, ax.xaxis)


def _range_of_interest(curves: list[Matrix]) -> tuple[float, float]:
    """Limits that leave out the first steps of a run that began far below everything else."""
    finite = [curve[np.isfinite(curve)] for curve in curves]
    low = min(float(np.percentile(values, 5)) for values in finite if len(values))
    high = max(float(values.max()) for values in finite if len(values))
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def plot_reconstruction_errors(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """Distribution of the squared error of rows; logarithmic, as a few rows may be far worse than all others."""
    ax = axes_or_new(ax)
    x = run.judge.standardise(run.test)
    groups = {
        "held-out rows": run.errors,
        "training rows": run.judge.errors(run.seen),
        "held-out rows, PCA": ((x - run.judge.pca(run.held_out)) ** 2).mean(axis=1),
    }
    logs = {label: np.log10(np.maximum(errors, 1e-12)) for label, errors in groups.items()}
    low, high = np.percentile(np.concatenate(list(logs.values())), (0.5, 99.5))
    edges = np.linspace(low, max(high, low + 0.1), bins_for(len(x), BINS) + 1)
    for (label, errors), colour in zip(logs.items(), (MODEL, ROWS, BASELINE), strict=True):
        share = 100 * np.histogram(np.clip(errors, edges[0], edges[-1]), edges)[0] / len(errors)
        (filled_histogram if colour == MODEL else outline)(ax, share, 10**edges, colour, label)
    logarithmic(ax, "x")
    ax.set(xlabel="mean squared error of standardised columns", ylabel="% of rows")
    ax.legend(fontsize="small")
    return plain(ax)


def plot_spread(run: JudgedRun, ax: Axes | None = None) -> Axes:
    """Standard deviation of held-out rows and of samples along the principal axes of the training rows."""
    ax = axes_or_new(ax)
    ppca = run.judge.ppca
    live = ppca.eigenvalues[: ppca.eigenvectors.shape[1]] > 1e-9 * ppca.eigenvalues[0]
    for label, rows, colour, line in (("held-out rows", run.test, ROWS, "-"), ("samples", run.samples, MODEL, "--")):
        deviation = (run.judge.standardise(rows) @ ppca.eigenvectors[:, live]).std(axis=0)
        ax.plot(np.arange(1, live.sum() + 1), np.maximum(deviation, 1e-12), color=colour, linestyle=line, label=label)
    logarithmic(ax, "y")
    ax.set(xlabel="principal axis", ylabel="standard deviation")
    ax.legend(fontsize="small")
    return plain(ax, ax.xaxis)
