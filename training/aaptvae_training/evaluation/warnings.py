"""What the figures of an evaluation mean, in words."""

import math
from collections.abc import Mapping

from ..config import TrainConfig
from ..features.split import FEW_ROWS
from ..model.network import LOG_SIGMA_FLOOR

LEAST_NATS = 0.1  # what chance alone may cost
MANY_NATS = 0.05  # share of the training ELBO that may be lost on unseen rows


def warnings_of(
    metrics: Mapping[str, float], baseline: Mapping[str, float], config: TrainConfig, log_sigma: float
) -> list[str]:
    """Sentences for whatever a user should know before trusting this model with such rows; empty when there is nothing."""
    found = []
    latents, active = config.latent_dim, int(metrics["active_units"])
    if active == 0:
        found.append(
            "The posterior collapsed: no latent carries anything. "
            + (
                "Lower --beta, if there is anything in these features to carry."
                if config.sigma == "spectral"
                else "Lower --beta, or use --sigma spectral."
            )
        )
    elif active < latents // 2:
        found.append(f"Only {active} of {latents} latents are in use: a --latent-dim of {active} would do.")
    if log_sigma < LOG_SIGMA_FLOOR + 0.1:
        found.append("Sigma stands at its floor: features are reproduced almost exactly, so likelihoods are not comparable.")
    if "ppca_log_likelihood" in baseline and metrics["log_likelihood"] < baseline["ppca_log_likelihood"] - LEAST_NATS:
        found.append(
            f"It loses to probabilistic PCA: {metrics['log_likelihood']:.2f} against {baseline['ppca_log_likelihood']:.2f} "
            "nats per row. Use more rows, or fewer latents."
        )
    if metrics["log_likelihood"] < baseline.get("independent_log_likelihood", -math.inf):
        found.append(
            f"It loses to features that know nothing of each other: {metrics['log_likelihood']:.2f} against "
            f"{baseline['independent_log_likelihood']:.2f} nats per row. Train longer, or use more rows."
        )
    if metrics["r2"] < baseline["r2"] - 5e-4:
        found.append(f"It reconstructs worse than PCA: R2 {metrics['r2']:.4f} against {baseline['r2']:.4f}.")
    return found


def warnings_of_training(metrics: Mapping[str, float], latents: int, shape: tuple[int, int], best_epoch: int) -> list[str]:
    """What there is to say of how it was trained, where the rows are those that no gradient saw."""
    found, (rows, width) = [], shape
    seen, unseen = metrics["train_elbo_median"], metrics["elbo_median"]  # one row far out would move a mean by itself
    if seen - unseen > MANY_NATS * abs(seen) + 0.02 * latents:
        found.append(
            f"It overfits: the median of seen rows is {seen:.1f} nats, that of unseen ones {unseen:.1f}. "
            "More rows help most, then fewer latents or a higher --weight-decay."
        )
    if latents > width:
        found.append(f"{latents} latents are more than {width} features can fill: a --latent-dim of {width} or less would do.")
    if rows < FEW_ROWS * latents:
        found.append(f"{rows} rows are few for {latents} latents: expect figures to move with the seed.")
    if best_epoch == 0:
        found.append("The model is linear: no epoch beat its linear start by more than chance: more rows would help.")
    return found
