"""Evaluation by name: columns in another order give the same figures from Python, files, shards and the command line."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from aaptvae.errors import InputError
from aaptvae.files import Reading
from aaptvae.tables import as_table
from aaptvae_training import Run, train
from aaptvae_training.cli import evaluate as evaluate_verb
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.run import Evaluation

from .conftest import features_of

QUICK = {"latent_dim": 2, "hidden_dim": 4, "epochs": 1, "batch_size": 32, "precision": "fp32", "device": "cpu", "refit": False}
QUICK |= {"report": False}
NAMES = tuple("abcdef")
OTHERS = features_of(80, 6, seed=1)


def columns(rows: np.ndarray, names: str = "abcdef") -> dict[str, np.ndarray]:
    """Columns of rows by name, in this order; a name that is no feature holds text."""
    return {name: rows[:, NAMES.index(name)] if name in NAMES else np.full(len(rows), "q") for name in names}


def csv(path: Path, table: dict[str, np.ndarray]) -> Path:
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run() -> Run:
    return train(columns(features_of(200, 6)), **QUICK)


@pytest.fixture(scope="module")
def expected(run: Run) -> Evaluation:
    return evaluate(Path(run), columns(OTHERS))


@pytest.mark.parametrize("names", ["fedcba", "cadbef"])
@pytest.mark.parametrize("form", ["mapping", "pandas", "polars", "pyarrow", "csv"])
def test_another_order_gives_equal_figures(form: str, names: str, run: Run, expected: Evaluation, tmp_path: Path) -> None:
    table: object = columns(OTHERS, names)
    if form == "csv":
        table = csv(tmp_path / "x.csv", columns(OTHERS, names))
    elif form != "mapping":
        package = pytest.importorskip(form)
        table = (package.table if form == "pyarrow" else package.DataFrame)(table)
    assert evaluate(Path(run), table) == expected


def test_shards_of_other_orders_give_equal_figures(run: Run, expected: Evaluation, tmp_path: Path) -> None:
    csv(tmp_path / "shards/1.csv", columns(OTHERS[:30], "fedcba"))
    csv(tmp_path / "shards/2.csv", columns(OTHERS[30:], "badcfe"))
    assert evaluate(Path(run), tmp_path / "shards") == expected


def test_the_verb_matches_by_name(run: Run, expected: Evaluation, tmp_path: Path) -> None:
    path = csv(tmp_path / "x.csv", columns(OTHERS, "xfedcba"))
    refused = CliRunner().invoke(evaluate_verb, [str(Path(run)), str(path)])
    assert "has the column x, unknown to the model" in str(refused.exception)
    for option in ("--id", "--drop"):
        done = CliRunner().invoke(evaluate_verb, [str(Path(run)), str(path), "--json", option, "x"])
        assert msgspec.json.decode(done.stdout.splitlines()[-1], type=Evaluation).metrics == expected.metrics


@pytest.mark.parametrize(("names", "words"), [("abcde", "lacks the column f"), ("abcdefx", "has the column x, unknown")])
def test_missing_and_unknown_columns_are_named(names: str, words: str, run: Run) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(Path(run), columns(OTHERS, names))


def test_columns_that_pass_by_are_listed(run: Run, expected: Evaluation) -> None:
    """They name the worst rows, and nothing else is different."""
    found = evaluate(Path(run), columns(OTHERS, "xabcdef"), reading=Reading(ids=("x",)))
    assert {text for row in found.worst_rows for text in row.ids} == {"q"}
    plain = [msgspec.structs.replace(row, ids=[]) for row in found.worst_rows]
    assert msgspec.structs.replace(found, worst_rows=plain) == expected


@pytest.mark.parametrize("choice", [{"columns": list("abcdef")}, {"drop": ["x"]}, {"ids": "x"}])
def test_training_chooses_columns(choice: dict[str, object], run: Run) -> None:
    other = train(columns(features_of(200, 6), "xabcdef"), **choice, **QUICK)
    assert other.config.columns == NAMES and other.summary.data_sha256 == run.summary.data_sha256


def test_training_chooses_positions() -> None:
    rows = features_of(200, 6)
    run = train(rows, drop=[0, 5], **QUICK)
    assert run.config.input_dim == 4 and run.config.columns is None
    assert train(rows[:, 1:5], **QUICK).summary.data_sha256 == run.summary.data_sha256


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"columns": ["a", "z"]}, "x has no column z: its columns are x, a"),
        ({"drop": ["z"]}, "x has no column z"),
        ({"columns": ["a", "x"], "drop": ["x"]}, "x is named as a feature and to be left out"),
        ({}, r"holds columns that are no numbers: x \(<U1\).*columns=\[...\]"),
    ],
)
def test_wrong_choices_are_named(choice: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        train(columns(features_of(200, 6), "xabcdef"), **choice, **QUICK)


def test_missing_values_of_other_rows_take_the_means_of_training() -> None:
    rows = features_of(200, 6)
    rows[::7, 2] = np.nan
    run = train(columns(rows), missing="mean", **QUICK)
    assert run.config.missing == 29
    assert any("29 missing values are replaced" in text for text in evaluate(Path(run), report=False).warnings)
    holes, full = OTHERS.copy(), OTHERS.copy()
    holes[5, 2] = np.nan
    full[5, 2] = run.observation.mean[2]
    assert evaluate(Path(run), columns(holes)).metrics == evaluate(Path(run), columns(full)).metrics


def test_worst_columns_are_called_by_name(run: Run) -> None:
    from aaptvae_training.evaluation.words import warnings_of_columns  # noqa: PLC0415
    from aaptvae_training.linear.baseline import ColumnR2  # noqa: PLC0415

    worst = [ColumnR2(2, 0.1, 0.9)]
    text = warnings_of_columns({"r2_raw": 0.1}, {"r2_raw": 0.9}, worst, NAMES)[0]
    assert "Columns that lose most, with their R2: c (0.1000, PCA 0.9000)." in text


def test_a_generator_of_batches_trains_as_one_table(run: Run) -> None:
    rows = features_of(200, 6)
    batches = (columns(rows[start : start + 30]) for start in range(0, 200, 30))
    assert train(batches, **QUICK).summary.data_sha256 == run.summary.data_sha256
    with pytest.raises(InputError, match="batch 1 of the features has 5 columns"):
        train(iter([rows, rows[:, 1:]]), **QUICK)
    with pytest.raises(InputError, match=r"batch 0 of the features, expected as rows \[n, D\]: features have shape \(6,\)"):
        train(iter(rows), **QUICK)
    with pytest.raises(InputError, match="without a batch"):
        train(iter([]), **QUICK)
    assert as_table(columns(rows)).columns == NAMES
