"""Every plot draws what the run holds on the axes that it is given, or on axes of its own, and touches nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from forked import script
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec.structs import replace as replace_option

from aaptvae.errors import InputError
from aaptvae_training import report
from aaptvae_training.finish.marginal_fit import fit_marginals
from aaptvae_training.report import JudgedRun, open_report
from aaptvae_training.report.column_plots import columns_by_difference, traverse
from aaptvae_training.report.latent_plots import principal_plane
from aaptvae_training.report.picture_plots import tiles
from aaptvae_training.run import read_config, read_held_out

PLOTS = sorted(name for name in report.__all__ if name.startswith("plot_") and name not in ("plot_tiles", "plot_trajectories"))


def drawn(name: str, run: JudgedRun) -> Axes:
    return getattr(report, name)(run, ax=Figure().subplots())


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_returns_the_axes_it_got(name: str, judged: JudgedRun) -> None:
    figure = Figure()
    given, other = figure.subplots(1, 2)
    settings = dict(mpl.rcParams)
    assert getattr(report, name)(judged, ax=given) is given
    assert given.has_data() and not other.has_data()
    assert dict(mpl.rcParams) == settings


@pytest.mark.parametrize("name", PLOTS)
def test_without_axes_a_plot_makes_its_own(name: str, judged: JudgedRun) -> None:
    first, second = (getattr(report, name)(judged) for _ in range(2))
    assert first.has_data() and first.figure is not second.figure


def test_plots_do_not_import_pyplot(run: Path) -> None:
    code = (
        f"import sys; from aaptvae_training.report import *; plot_kl_spectrum(open_report({str(run)!r})); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert script(code) == "False\n"


def test_importing_the_report_loads_neither_torch_nor_matplotlib() -> None:
    code = "import sys, aaptvae_training.report; print({'torch', 'matplotlib', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_curves_that_start_far_below_stay_visible(judged: JudgedRun) -> None:
    history = [{"epoch": float(k), "validation_elbo": -1e6 if k == 0 else -12.0 + k / 100} for k in range(100)]
    low, high = drawn("plot_training_curves", replace(judged, history=history)).get_ylim()
    assert -100 < low < high < 100


def test_the_spectrum_adds_up_to_the_divergence(judged: JudgedRun) -> None:
    heights = drawn("plot_kl_spectrum", judged).patches[0].get_data().values
    assert heights.sum() == pytest.approx(judged.evaluation.metrics["kl_divergence"], rel=1e-4)
    assert (np.diff(heights) <= 0).all()


def test_shares_of_rows_add_up_to_hundred(judged: JudgedRun) -> None:
    for name in ("plot_reconstruction_errors", "plot_feature_histogram"):
        for patch in drawn(name, judged).patches:
            assert patch.get_data().values.sum() == pytest.approx(100)


def test_column_errors_average_to_the_row_errors(judged: JudgedRun) -> None:
    heights = [bar.get_height() for bar in drawn("plot_error_by_column", judged).patches]
    assert np.mean(heights) == pytest.approx(judged.errors.mean(), rel=1e-6)


def test_the_column_that_samples_miss_comes_first(judged: JudgedRun) -> None:
    test = judged.test.copy()
    test[:, 7] += 50
    test[:, 2] = 1.0  # constant columns come last
    order = columns_by_difference(replace(judged, test=test))
    assert order[0] == 7 and order[-1] == 2


def test_the_map_is_the_widest_plane() -> None:
    rng = np.random.default_rng(0)
    mu = rng.standard_normal((500, 4)) * [0.1, 3.0, 0.2, 2.0]
    plane, shares = principal_plane(mu)
    assert np.abs(np.corrcoef(plane[:, 0], mu[:, 1])[0, 1]) > 0.99
    assert np.abs(np.corrcoef(plane[:, 1], mu[:, 3])[0, 1]) > 0.99
    assert 0.6 < shares[0] < 0.75 and shares.sum() > 0.98


def test_one_latent_still_has_a_map() -> None:
    plane, shares = principal_plane(np.arange(5.0)[:, None])
    assert plane.shape == (5, 2) and not plane[:, 1].any() and shares.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.arange(600) % 3, ["0", "1", "2"]),
        (np.array(["b", "a"] * 300), ["a", "b"]),
        (np.arange(600), None),
        (np.linspace(0, 1, 600), None),
    ],
)
def test_the_map_is_coloured_by_labels(run: Path, labels: np.ndarray, expected: list[str] | None) -> None:
    ax = drawn("plot_latent_map", open_report(run, labels=labels))
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    points = sum(len(dots.get_offsets()) for dots in ax.collections)
    assert points == 60 and len(shown) <= 10
    assert expected is None or shown == expected


def test_labels_of_the_table_go_to_their_rows(run: Path, table: Path) -> None:
    opened = open_report(run, labels=np.load(table)[:, 0])
    np.testing.assert_array_equal(opened.labels, read_held_out(run, read_config(run)).test[:, 0])


def test_trajectories_join_the_rows_of_a_group(run: Path, judged: JudgedRun) -> None:
    """The first of two groups has the even rows of the table; their line passes through the map's points in order."""
    opened = open_report(run, labels=np.array(["even", "odd"] * 300))
    ax = drawn("plot_trajectories", opened)
    lines = {line.get_label(): np.array(line.get_data()).T for line in ax.lines}
    points = principal_plane(opened.posterior[0])[0]
    assert opened.labels is not None
    np.testing.assert_array_equal(lines["even"], points[opened.labels == "even"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == sorted(
        ("even", "odd"), key=lambda name: -(opened.labels == name).sum()
    )
    with pytest.raises(InputError, match="give labels to open_report, or train with --split group"):
        drawn("plot_trajectories", judged)


def test_a_split_by_groups_has_trajectories(judged: JudgedRun) -> None:
    options = replace_option(judged.config.options, split="group", split_column=3)
    grouped = replace(judged, config=replace_option(judged.config, options=options))
    np.testing.assert_array_equal(grouped.groups, judged.test[:, 3])
    assert drawn("plot_trajectories", grouped).has_data()


def test_labels_of_a_wrong_length_are_refused(run: Path) -> None:
    with pytest.raises(InputError, match="expected one for each of 600 rows of the table, or for each of 60 held-out rows"):
        open_report(run, labels=[1, 2, 3])


def test_a_traversal_moves_one_latent_alone(judged: JudgedRun) -> None:
    steps, rows = traverse(judged, 1)
    assert steps[0] == -3 and steps[-1] == 3 and rows.shape == (len(steps), 12)
    assert np.ptp(rows, axis=0).max() > 0.1
    ax = drawn("plot_traversal", replace(judged, image_shape=None))
    assert len(ax.lines) == 5


def test_pictures_need_an_image_shape(judged: JudgedRun) -> None:
    for name in ("plot_pictures", "plot_reconstructions", "plot_samples", "plot_interpolation"):
        with pytest.raises(InputError, match="no image shape"):
            drawn(name, replace(judged, image_shape=None))


def test_the_first_picture_holds_the_held_out_rows(judged: JudgedRun) -> None:
    wall = np.asarray(drawn("plot_pictures", judged).images[0].get_array())
    np.testing.assert_array_equal(wall[:3, :4], judged.test[0].reshape(3, 4))
    np.testing.assert_array_equal(wall[:3, 5:9], judged.test[1].reshape(3, 4))


def test_tiles_stand_row_by_row_with_a_seam() -> None:
    images = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
    x = np.nan
    np.testing.assert_array_equal(tiles(images, 2), [[0, 0, x, 1, 1]] * 2 + [[x] * 5] + [[2, 2, x, x, x]] * 2)


def test_noise_changes_the_samples(judged: JudgedRun) -> None:
    walls = [np.asarray(report.plot_samples(judged, noise=noise).images[0].get_array()) for noise in (False, True)]
    assert np.nanmax(np.abs(walls[0] - walls[1])) > 0.1


def test_discrete_columns_also_show_samples_as_observed(judged: JudgedRun) -> None:
    """A column of two values, whose map has a step for each; others are shown as before."""
    assert judged.judge.marginals is not None
    width = len(judged.judge.marginals.counts)
    steps = fit_marginals(np.tile(np.float32([[0], [1]]), (50, width)), judged.samples)
    for maps, labels in ((judged.judge.marginals, 2), (steps, 3)):
        run = replace(judged, judge=replace(judged.judge, marginals=maps))
        assert len(drawn("plot_feature_histogram", run).get_legend_handles_labels()[1]) == labels
