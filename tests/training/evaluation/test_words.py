"""Headline and warnings say the worst first, and each only where the figures show it."""

import pytest

from aaptvae_training.config import TrainConfig
from aaptvae_training.evaluation.words import headline, warnings_of, warnings_of_training

BASE = {"r2": 0.8, "ppca_log_likelihood": -14.5}


def figures(**changes: float) -> dict[str, float]:
    return {"log_likelihood": -10.0, "r2": 0.9, "active_units": 2.0} | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "4.5 nats per row above probabilistic PCA; R2 0.9000, PCA 0.8000."),
        ({"log_likelihood": -14.45}, "Equals probabilistic PCA in log-likelihood; R2 0.9000, PCA 0.8000."),
        ({"log_likelihood": -15.0}, "Loses to probabilistic PCA by 0.5 nats per row."),
        ({"r2": 0.7}, "Reconstructs worse than PCA (R2 0.7000, PCA 0.8000)."),
        (
            {"r2": 0.7, "log_likelihood": -15.0},
            "Loses to probabilistic PCA by 0.5 nats per row and Reconstructs worse than PCA (R2 0.7000, PCA 0.8000).",
        ),
        ({"active_units": 0.0, "log_likelihood": -15.0, "r2": 0.0}, "The posterior collapsed: no latent carries information."),
    ],
)
def test_the_headline_is_the_worst(changes: dict[str, float], expected: str) -> None:
    assert headline(figures(**changes), BASE) == expected.replace("and Reconstructs", "and reconstructs")


def test_a_bernoulli_headline_compares_with_independent_columns() -> None:
    base = {"r2": 0.8, "independent_log_likelihood": -9.0}
    assert headline(figures(), base) == "Loses to independent columns by 1.0 nats per row."
    base["independent_log_likelihood"] = -12.0
    assert headline(figures(), base) == "2.0 nats per row above independent columns; R2 0.9000, PCA 0.8000."


def test_losses_of_the_headline_are_warnings_too() -> None:
    found = warnings_of(figures(r2=0.7, log_likelihood=-15.0), BASE, TrainConfig(latent_dim=2), 0.0)
    assert found == [
        "Loses to probabilistic PCA by 0.5 nats per row. Use more rows, or fewer latents.",
        "Reconstructs worse than PCA (R2 0.7000, PCA 0.8000).",
    ]


def test_near_rows_that_are_reconstructed_are_no_collapse() -> None:
    """Beside one wild training row all others have nearly the same latents: "collapsed" stood beside an R2 of 1."""
    found = figures(active_units=0.0, r2=1.0)
    assert "collapsed" not in headline(found, BASE)
    assert warnings_of(found, BASE, TrainConfig(latent_dim=4), 0.0) == []


def test_a_good_model_has_no_warnings() -> None:
    assert warnings_of(figures(), BASE, TrainConfig(latent_dim=2), 0.0) == []


@pytest.mark.parametrize(
    ("medians", "linear_gap", "best_epoch", "said"),
    [
        ((-11.0, -13.8), 0.2, 3, "overfits"),
        ((-11.0, -13.8), 2.7, 3, ""),  # the linear start loses as much between the same rows
        ((-11.0, -13.8), -5.0, 3, "overfits"),
        ((-11.0, -11.2), 0.0, 3, ""),
        ((-11.0, -13.8), 0.2, 0, "The model is linear"),
    ],
)
def test_overfitting_is_measured_against_the_linear_start(
    medians: tuple[float, float], linear_gap: float, best_epoch: int, said: str
) -> None:
    metrics = dict(zip(("train_elbo_median", "elbo_median"), medians, strict=True))
    found = warnings_of_training(metrics, 2, (10_000, 5), best_epoch, linear_gap)
    assert len(found) == bool(said) and all(said in text for text in found)


def test_overfitting_names_both_medians_and_the_gap() -> None:
    metrics = {"train_elbo_median": -11.0, "elbo_median": -13.8}
    (text,) = warnings_of_training(metrics, 2, (10_000, 5), 3, 0.25)
    assert "-11.0 nats for training rows and -13.8 for held-out rows, a difference of 2.8" in text
    assert "under the linear start the same rows differ by 0.2" in text
