"""Training from Python: tables in memory, runs that hold their folder, figures and report."""

import gc
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

from aaptvae.errors import InputError
from aaptvae.files.locks import alone
from aaptvae_training import Run, RunError, TrainingProgress, read_run, train
from aaptvae_training.evaluate_run import evaluate

from .conftest import features_of, saved

TINY = {"latent_dim": 3, "hidden_dim": 8, "epochs": 2, "batch_size": 32, "precision": "fp32", "device": "cpu", "refit": False}
QUICK = TINY | {"report": False}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return features_of(300)


@pytest.fixture(scope="module")
def run(rows) -> Run:
    return train(rows, **TINY)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.model.state_dict()


def same(one: Run, other: Run) -> bool:
    return all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())


def test_an_array_trains_like_its_file(run, rows, tmp_path):
    other = train(saved(tmp_path, rows), folder=tmp_path / "run", **QUICK)
    assert same(run, other)
    assert run.figures == other.figures
    assert run.summary.data_sha256 == other.summary.data_sha256
    assert (run.config.data_name, other.config.data_name) == ("", "features.npy")


@pytest.mark.parametrize(
    "kind",
    [
        "tensor",
        "fortran",
        pytest.param("read-only", marks=pytest.mark.slow),
        "pandas",
        "polars",
        pytest.param("arrow", marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_table_trains_alike(kind, run, rows):
    names = [f"c{k}" for k in range(rows.shape[1])]
    if kind == "tensor":
        table: object = torch.from_numpy(rows).requires_grad_()
    elif kind == "fortran":
        table = np.asfortranarray(rows)
    elif kind == "read-only":
        table = rows.copy()
        table.flags.writeable = False
    elif kind == "arrow":
        table = pytest.importorskip("pyarrow").table({name: rows[:, k] for k, name in enumerate(names)})
    else:
        table = pytest.importorskip(kind).DataFrame({name: rows[:, k] for k, name in enumerate(names)})
    assert same(train(table, **QUICK), run)


def test_figures_stand_beside_baselines(run):
    assert set(run.figures["r2"]) == {"model", "PCA"}
    assert run.figures["log_likelihood"].keys() >= {"model", "pPCA", "full Gaussian"}
    assert "R2 of reconstructions" in run._repr_html_()


def test_the_report_is_a_path_and_a_page(run):
    report = run.report()
    assert Path(report).read_text().startswith("<!")
    assert report._repr_html_().startswith("<iframe srcdoc=")


def test_a_temporary_folder_ends_with_its_run(rows, tmp_path):
    run = train(rows, **QUICK)
    folder = Path(run)
    kept = run.save(tmp_path / "kept")
    assert folder.is_dir()
    del run
    gc.collect()
    assert not folder.parent.exists()
    assert same(kept, read_run(tmp_path / "kept"))


def drop(folder: Path, held: list[Run]) -> None:
    held.clear()
    gc.collect()


def test_a_forked_process_leaves_the_folder(rows):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    run = train(rows, **QUICK)
    child = multiprocessing.get_context("fork").Process(target=drop, args=(Path(run), [run]))
    child.start()
    child.join()
    assert Path(run).is_dir()


def test_a_folder_is_not_replaced_unasked(rows, tmp_path):
    train(rows, folder=tmp_path / "run", **QUICK)
    with pytest.raises(InputError, match="exists"):
        train(rows, folder=tmp_path / "run", **QUICK)
    assert train(rows, folder=tmp_path / "run", force=True, **QUICK | {"latent_dim": 2}).model.latent_dim == 2


def test_training_leaves_the_generator_of_torch_alone(rows):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(rows, **QUICK)
    assert torch.equal(torch.rand(3), expected)


def test_progress_receives_the_epochs(rows):
    class Epochs(TrainingProgress):
        seen: list[float]

        def epoch(self, figures: dict[str, float]) -> None:
            self.seen.append(figures["epoch"])

    progress = Epochs()
    progress.seen = []
    train(rows, progress=progress, **QUICK)
    assert progress.seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (np.zeros(12), {}, r"features have shape \(12,\)"),
        (np.zeros((12, 2), bool), {}, "bool"),
        (np.full((12, 2), np.nan), {}, "features must be finite, but row 0, column 0 is nan"),
        (np.zeros((4, 2)), {}, "got 4 rows: training needs at least 10"),
        (np.zeros((12, 2)), {"latents": 3}, "latents"),
        (np.zeros((12, 2)), {"latent_dim": 0}, "latent_dim is 0"),
    ],
)
def test_tables_and_options_are_refused_in_words(table, options, words):
    with pytest.raises(InputError, match=words):
        train(table, **options)


def test_a_report_left_out_is_drawn_later(rows, tmp_path):
    run = train(rows, folder=tmp_path / "run", **QUICK)
    with pytest.raises(RunError, match=r"has no report.html: .* `aaptvae evaluate .*run` draws it"):
        run.report()
    evaluate(run)
    assert Path(run.report()).stat().st_size > 10_000


def test_a_run_without_folder_has_no_report(run):
    bare = Run(run.config, run.model, run.prior, run.observation, run.heldout, run.summary)
    with pytest.raises(RunError, match="in no folder"):
        bare.report()


def test_names_of_columns_are_kept(rows):
    frame = pytest.importorskip("pandas").DataFrame(rows, columns=[f"c{k}" for k in range(rows.shape[1])])
    assert train(frame, **QUICK).config.columns == tuple(frame.columns)


@pytest.mark.parametrize(("rule", "count"), [("mean", 300), ("drop", 299)])
def test_missing_values_follow_the_rule(rule, count, rows):
    table = rows.copy()
    table[3, 2] = np.nan
    assert train(table, missing=rule, **QUICK).summary.rows == count


def test_two_trainings_never_write_one_run(rows, tmp_path):
    with alone(tmp_path / "run"), pytest.raises(InputError, match="is being written by another process"):
        train(rows, folder=tmp_path / "run", **QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["a", "b", "n" * 2000], {}, "has a name of 2000 characters"),
        (["a", "b", "n\ud800"], {}, "expected Unicode text"),
        (["a", "b", "c"], {"ids": ["c", "c"]}, "--id has c more than once"),
        (["a", "b", "c"], {"columns": ["a", "a"]}, "columns has a more than once"),
    ],
)
def test_names_that_no_run_can_hold_are_refused(rows, names, options, words):
    with pytest.raises(InputError, match=words):
        train(dict(zip(names, rows.T, strict=False)), **TINY, **options)


def test_a_table_of_constants_is_refused():
    with pytest.raises(InputError, match="every column is constant, so that there is nothing to learn"):
        train(np.ones((50, 3)), **TINY)
