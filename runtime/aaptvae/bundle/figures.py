"""The figures of an evaluation: label, meaning, unit and direction of each metric, and the baselines shown beside it.

Reports, model cards and the command line take their labels from here. Importing this needs no numpy.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Better = Literal["higher", "lower", ""]
Compared = dict[str, dict[str, float]]


class Figure(NamedTuple):
    """One metric: its `key` in an evaluation, and how it is shown.

    `beside` holds (label, key) of what it is compared with: a baseline if there is one of that key, else another metric.
    `part` marks a refinement of the metric above it in the table.
    """

    key: str
    label: str
    meaning: str
    unit: str = ""
    better: Better = ""
    beside: tuple[tuple[str, str], ...] = ()
    part: bool = False


class Measured(NamedTuple):
    """A figure with its value as text, and (label, value) of what it is compared with."""

    figure: Figure
    value: str
    beside: tuple[tuple[str, str], ...]


NATS = "nats per row"
TRAINING_ROWS = "training rows"
AS_OBSERVED = "samples as observed"

FIGURES: tuple[Figure, ...] = (
    Figure(
        "log_likelihood",
        "Log-likelihood",
        "Importance-weighted estimate of log p(x), under the prior N(0, I).",
        NATS,
        "higher",
        (
            ("pPCA", "ppca_log_likelihood"),
            ("full Gaussian", "gaussian_log_likelihood"),
            ("independent columns", "independent_log_likelihood"),
        ),
    ),
    Figure(
        "log_likelihood_median",
        "Log-likelihood, median row",
        "A few outlying rows do not change it.",
        NATS,
        "higher",
        (("pPCA", "ppca_log_likelihood_median"), ("full Gaussian", "gaussian_log_likelihood_median")),
        True,
    ),
    Figure("log_likelihood_standard", "Log-likelihood, prior N(0, I)", "Latents drawn from N(0, I).", NATS, "higher", (), True),
    Figure(
        "log_likelihood_fitted", "Log-likelihood, fitted prior", "Latents drawn from the mixture.", NATS, "higher", (), True
    ),
    Figure(
        "elbo",
        "ELBO",
        "Lower bound of the log-likelihood, which training maximises.",
        NATS,
        "higher",
        ((TRAINING_ROWS, "train_elbo"),),
    ),
    Figure(
        "elbo_median",
        "ELBO, median row",
        "A few outlying rows do not change it.",
        NATS,
        "higher",
        ((TRAINING_ROWS, "train_elbo_median"),),
        True,
    ),
    Figure("reconstruction", "ELBO, reconstruction term", "Expected log p(x given z).", NATS, "higher", (), True),
    Figure("kl_divergence", "ELBO, KL divergence", "Subtracted from the reconstruction term.", NATS, "", (), True),
    Figure(
        "r2",
        "R2 of reconstructions",
        "Share of the variance of standardised columns that reconstructions explain; at most 1.",
        "",
        "higher",
        (("PCA", "r2"),),
    ),
    Figure(
        "r2_raw",
        "R2 of reconstructions, own units",
        "The same for columns in their own units, so that wide columns count more.",
        "",
        "higher",
        (("PCA", "r2_raw"),),
        True,
    ),
    Figure(
        "recall_mu",
        "Recall@10 of latents",
        "Share of each held-out row's 10 nearest rows (held-out and training) that distances of posterior means find.",
        "",
        "higher",
        (("PCA", "recall_pca"), ("SVD", "recall_svd"), ("random projection", "recall_random")),
    ),
    Figure("recall_metric", "Recall@10 of the metric view", 'The same for `embed(x, view="metric")`.', "", "higher", (), True),
    Figure(
        "recall_similarity",
        "Recall@10, similarity view",
        'The same for `embed(x, view="similarity")`.',
        "",
        "higher",
        (("PCA or SVD of its width", "recall_similarity"),),
        True,
    ),
    Figure("active_units", "Active latents", "Latents whose posterior mean varies from row to row."),
    Figure(
        "frechet_samples",
        "Frechet distance of samples",
        "Between the means and covariances of samples and held-out rows.",
        "",
        "lower",
        ((AS_OBSERVED, "frechet_as_observed"), (TRAINING_ROWS, "frechet_real")),
    ),
    Figure(
        "mmd_samples",
        "MMD of samples",
        "Maximum mean discrepancy between samples and held-out rows; near 0 where the densities agree.",
        "",
        "lower",
        ((AS_OBSERVED, "mmd_as_observed"), (TRAINING_ROWS, "mmd_real")),
    ),
)


def measured(
    metrics: Mapping[str, float], baseline: Mapping[str, float], keys: tuple[str, ...] | None = None
) -> list[Measured]:
    """The metrics in the order of the table, with what they are compared with; metrics that it lacks follow under their keys.

    `keys` limits them to these.
    """
    compared = {key for figure in FIGURES for _, key in figure.beside}
    unknown = metrics.keys() - compared - {figure.key for figure in FIGURES}
    entries = [*FIGURES, *(Figure(key, key.replace("_", " "), "") for key in metrics if key in unknown)]
    return [
        Measured(figure, show(metrics[figure.key]), tuple((k, show(v)) for k, v in _beside(figure, metrics, baseline)))
        for figure in entries
        if figure.key in metrics and (keys is None or figure.key in keys)
    ]


def compared(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> Compared:
    """Each figure by key: its value under "model", and each value that it is compared with under that one's label."""
    known = (figure for figure in FIGURES if figure.key in metrics)
    return {figure.key: {"model": metrics[figure.key], **dict(_beside(figure, metrics, baseline))} for figure in known}


def _beside(figure: Figure, metrics: Mapping[str, float], baseline: Mapping[str, float]) -> list[tuple[str, float]]:
    others = {key: value for key, value in metrics.items() if key != figure.key} | dict(baseline)
    return [(label, others[key]) for label, key in figure.beside if key in others]


def show(value: float) -> str:
    """A figure with enough digits to compare it: 12.35, 0.9123, 0.0045, 16."""
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.2g}" if abs(value) < 0.01 else f"{value:.4f}" if abs(value) < 1 else f"{value:,.2f}"
