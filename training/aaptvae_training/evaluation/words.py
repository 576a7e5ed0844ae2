"""The text of an evaluation: one headline, and warnings."""

import math
from collections.abc import Mapping, Sequence

from aaptvae.rows import Nats

from ..config import MissingRule, TrainConfig
from ..features.split import FEW_ROWS
from ..linear.baseline import ColumnR2
from ..model.network import LOG_SIGMA_FLOOR

LEAST_NATS = 0.1  # a difference of this size may be chance
LEAST_R2 = 5e-4
LEAST_R2_RAW = 0.002
MANY_NATS = 0.05  # share of the training ELBO that may be lost on held-out rows

Figures = Mapping[str, float]
UNLIKE = 0.05  # p-value up to which a row counts as unlike the training rows


def headline(metrics: Figures, baseline: Figures) -> str:
    """The evaluation in one sentence: its worst finding, else the gain over the baseline."""
    if _collapsed(metrics, baseline):
        return "The posterior collapsed: no latent carries information."
    losses = [text for text in (_likelihood_loss(metrics, baseline), _r2_loss(metrics, baseline)) if text]
    if losses:
        return " and ".join([losses[0], *(text[0].lower() + text[1:] for text in losses[1:])]) + "."
    r2 = f"R2 {metrics['r2']:.4f}, PCA {baseline['r2']:.4f}"
    name, reference = _reference(baseline)
    gain = metrics["log_likelihood"] - reference
    return f"Equals {name} in log-likelihood; {r2}." if gain < LEAST_NATS else f"{gain:.1f} nats per row above {name}; {r2}."


def _collapsed(metrics: Figures, baseline: Figures) -> bool:
    """Whether no latent varies over held-out rows, and that costs R2: these rows may be equal, or near beside one wild row."""
    return not metrics["active_units"] and bool(_r2_loss(metrics, baseline))


def _reference(baseline: Figures) -> tuple[str, float]:
    """The density that a log-likelihood is compared with, and its own."""
    if "ppca_log_likelihood" in baseline:
        return "probabilistic PCA", baseline["ppca_log_likelihood"]
    return "independent columns", baseline["independent_log_likelihood"]


def _likelihood_loss(metrics: Figures, baseline: Figures) -> str:
    name, reference = _reference(baseline)
    loss = reference - metrics["log_likelihood"]
    return f"Loses to {name} by {loss:.1f} nats per row" if loss > LEAST_NATS else ""


def _r2_loss(metrics: Figures, baseline: Figures) -> str:
    own, pca = metrics["r2"], baseline["r2"]
    return f"Reconstructs worse than PCA (R2 {own:.4f}, PCA {pca:.4f})" if own < pca - LEAST_R2 else ""


def warnings_of(metrics: Figures, baseline: Figures, config: TrainConfig, log_sigma: float) -> list[str]:
    """Sentences for whatever a user should know before trusting this model with such rows; empty when there is nothing."""
    found = []
    latents, active = config.latent_dim, int(metrics["active_units"])
    if _collapsed(metrics, baseline):
        lower = "Lower --beta" if config.sigma == "spectral" else "Lower --beta, or use --sigma spectral"
        found.append(f"The posterior collapsed: the posterior mean of every latent is the same for all rows. {lower}.")
    elif 0 < active < latents // 2:
        found.append(f"Only {active} of {latents} latents are in use: a --latent-dim of {active} is enough.")
    if log_sigma < LOG_SIGMA_FLOOR + 0.1:
        found.append(
            "The noise deviation sigma is at its lower limit, because columns are reproduced almost exactly: do not compare "
            "log-likelihoods with those of other models."
        )
    if loss := _likelihood_loss(metrics, baseline):
        advice = "Train longer, or use more rows" if "independent" in loss else "Use more rows, or fewer latents"
        found.append(f"{loss}. {advice}.")
    if loss := _r2_loss(metrics, baseline):
        found.append(f"{loss}.")
    return found


def warnings_of_training(
    metrics: Figures, latents: int, shape: tuple[int, int], best_epoch: int, linear_gap: float
) -> list[str]:
    """Sentences about how it was trained, where the rows are the run's own held-out rows.

    `linear_gap` is the difference between the median training and the median held-out row under the linear start, in nats.
    """
    found, (rows, width) = [], shape
    if best_epoch == 0:
        found.append("The model is linear: no epoch improved on its linear start by more than chance. More rows would help.")
    elif overfits(metrics, latents, linear_gap):
        seen, unseen = metrics["train_elbo_median"], metrics["elbo_median"]
        found.append(
            f"It overfits: the ELBO of the median row is {seen:.1f} nats for training rows and {unseen:.1f} for held-out rows, "
            f"a difference of {seen - unseen:.1f}; under the linear start the same rows differ by {linear_gap:.1f}. More rows "
            "help most, then fewer latents or a higher --weight-decay."
        )
    if latents > width:
        found.append(f"{latents} latents are more than the {width} columns: use a --latent-dim of {width} or less.")
    if rows < FEW_ROWS * latents:
        found.append(f"{rows} rows are few for {latents} latents: figures will change with --seed.")
    return found


def overfits(metrics: Figures, latents: int, linear_gap: float) -> bool:
    """Whether held-out rows lose more against training rows than under the linear start.

    Medians, because one outlying row would move a mean by itself.
    """
    seen, unseen = metrics["train_elbo_median"], metrics["elbo_median"]
    return seen - unseen - max(linear_gap, 0.0) > MANY_NATS * abs(seen) + 0.02 * latents


def warnings_of_columns(
    metrics: Figures, baseline: Figures, worst: Sequence[ColumnR2], names: Sequence[str] | None = None
) -> list[str]:
    """A sentence where reconstructions are worse than PCA's in the features' own units, with the columns that cost most.

    Columns are called by `names` [D], else by their positions.
    """
    if metrics["r2_raw"] >= baseline["r2_raw"] - LEAST_R2_RAW:
        return []
    named = ", ".join(
        f"{names[found.column] if names else found.column} ({found.r2:.4f}, PCA {found.pca_r2:.4f})" for found in worst
    )
    return [
        f"In the features' own units it reconstructs worse than PCA: R2 {metrics['r2_raw']:.4f} against "
        f"{baseline['r2_raw']:.4f}. Columns that lose most, with their R2: {named}."
    ]


def warnings_of_copies(rows: int, copies: int, held_out: int) -> list[str]:
    """A sentence where rows of the table equal each other; `held_out` of those that judge or select equal a training row."""
    if held_out:
        return [
            f"{copies:,} of {rows:,} rows are copies of earlier rows, and {held_out:,} held-out rows equal a training row: "
            "figures are better than rows not seen before will get."
        ]
    if copies:
        return [f"{copies:,} of {rows:,} rows are copies of earlier rows: copies are on one side of the split."]
    return []


def warnings_of_missing(rule: MissingRule, count: int) -> list[str]:
    """A sentence where values were missing: `count` were replaced by means, or rows were left out."""
    if not count:
        return []
    many = count != 1
    if rule == "drop":
        return [f"{count:,} row{'s' * many} lacked a value and {'were' if many else 'was'} left out."]
    return [
        f"{count:,} missing value{'s' * many} {'are' if many else 'is'} replaced by the mean of the training rows in the same "
        "column: figures count replaced values like others."
    ]


def warnings_of_unlike_rows(p_values: Nats) -> list[str]:
    """A sentence where more rows than expected have a lower ELBO than nearly all held-out rows; none for NaN."""
    share = float((p_values <= UNLIKE).mean())
    chance = math.sqrt(UNLIKE * (1 - UNLIKE) / len(p_values))
    if not share > UNLIKE + 3 * chance:
        return []
    return [
        f"{share:.1%} of these rows have a lower ELBO than {1 - UNLIKE:.0%} of the held-out rows, where {UNLIKE:.0%} "
        "are expected: they are unlike the training rows, and figures of held-out rows do not hold for them."
    ]
