"""The table of figures: every key once, values with the digits they need, baselines beside what they belong to."""

import math

import pytest

from aaptvae.bundle.figures import FIGURES, measured, show


def test_each_figure_has_one_label_and_a_meaning() -> None:
    assert len({figure.key for figure in FIGURES}) == len({figure.label for figure in FIGURES}) == len(FIGURES)
    assert all(figure.meaning.endswith((".", "1")) for figure in FIGURES)


def test_baselines_stand_beside_their_figure() -> None:
    rows = measured({"r2": 0.9, "elbo": -12.0, "train_elbo": -11.5}, {"r2": 0.8, "ppca_log_likelihood": -3.0})
    assert [(row.figure.key, row.value, row.beside) for row in rows] == [
        ("elbo", "-12", (("training rows", "-11.50"),)),
        ("r2", "0.9000", (("PCA", "0.8000"),)),
    ]


def test_a_missing_baseline_is_not_the_model_itself() -> None:
    (row,) = measured({"r2": 0.9}, {})
    assert row.beside == ()


def test_an_unknown_figure_comes_last_under_its_key() -> None:
    rows = measured({"coverage_rate": 0.5, "r2": 0.9}, {}, None)
    assert [row.figure.label for row in rows] == ["R2 of reconstructions", "coverage rate"]


def test_keys_limit_the_figures() -> None:
    assert [row.figure.key for row in measured({"elbo": 1.5, "r2": 0.9}, {}, ("r2",))] == ["r2"]


@pytest.mark.parametrize(
    ("value", "text"), [(16.0, "16"), (-29.8012, "-29.80"), (0.83941, "0.8394"), (0.00412, "0.0041"), (12345.678, "12,345.68")]
)
def test_values_have_the_digits_they_need(value: float, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_shown(value: float) -> None:
    assert show(value) == str(value)
