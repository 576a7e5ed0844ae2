"""Ids of rows: kept for held-out rows of a run, named in evaluations and in the report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae.files import Reading
from aaptvae_training import RunError, read_run
from aaptvae_training import train as train_table
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.features import open_features
from aaptvae_training.report.page import rows_table
from aaptvae_training.run import HeldOutRows, read_config, read_evaluation, read_held_out
from aaptvae_training.run.layout import HELD_OUT
from aaptvae_training.run.state import read_state, write_state

from .conftest import features_of, options, train

NAMES = [f"f{index}" for index in range(12)]


def table_of(rows: int = 120) -> dict[str, Any]:
    """Features between two columns that name rows, of text and of numbers."""
    named = [f"pati\N{LATIN SMALL LETTER E WITH DIAERESIS}nt {row}" for row in range(rows)]
    columns = dict(zip(NAMES, features_of(rows).T, strict=True))
    return {"patient": np.array(named), **columns, "visit": np.arange(rows) % 3 + 10}


def csv_of(folder: Path, table: dict[str, Any]) -> Path:
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    (folder / "x.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "x.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ids")
    reading = Reading(ids=("visit", "patient"))
    train(csv_of(folder, table_of()), folder / "run", options(epochs=1), reading=reading)
    return folder / "run"


def held_out(folder: Path) -> HeldOutRows:
    return read_held_out(folder, read_config(folder))


def test_held_out_rows_keep_their_ids(run: Path) -> None:
    table, (rows, _, positions, _, ids) = table_of(), held_out(run)
    assert positions is not None and len(positions) == len(rows)
    assert ids == [(str(table["visit"][row]), table["patient"][row]) for row in positions]
    assert read_run(run).config.ids == ("visit", "patient")


def test_worst_rows_are_named(run: Path) -> None:
    table, worst = table_of(), read_evaluation(run).worst_rows
    assert len(worst) == 10 and [each.error for each in worst] == sorted((each.error for each in worst), reverse=True)
    assert all(each.ids == [str(table["visit"][each.row]), table["patient"][each.row]] for each in worst)
    shown = rows_table(read_evaluation(run), read_run(run).config)
    assert "<th>visit</th><th>patient</th>" in shown and f"<td>{worst[0].ids[1]}</td>" in shown
    assert read_run(run).heldout_ids == held_out(run).ids


def test_other_rows_are_named_by_their_own_ids(run: Path) -> None:
    other = table_of(40)
    other["patient"] = np.array([f"other {row}" for row in range(40)])
    found = evaluate(run, other, reading=Reading(ids=("patient", "visit"))).worst_rows
    assert all(each.ids[0] == f"other {each.row}" for each in found)
    unnamed = evaluate(run, {name: other[name] for name in NAMES}).worst_rows
    assert [(each.row, each.ids) for each in unnamed] == [(each.row, []) for each in found]


def test_worst_rows_count_rows_left_out(tmp_path: Path) -> None:
    table = table_of() | {"visit": np.arange(120)}
    table["f0"] = np.where(np.arange(120) % 3, table["f0"], np.nan)
    source, reading = csv_of(tmp_path, table), Reading(ids=("visit", "patient"))
    source.write_text(source.read_text(encoding="utf-8").replace("nan", ""), encoding="utf-8")
    train(source, tmp_path / "run", options(epochs=1, missing="drop"), reading=reading)
    batches = iter([{name: column[part] for name, column in table.items()} for part in (slice(50), slice(50, None))])
    for other in (None, table, source, batches):
        worst = evaluate(tmp_path / "run", other, reading=reading, report=False).worst_rows
        assert worst and all(each.ids[0] == str(each.row) and each.row % 3 for each in worst)


def test_a_run_without_ids_names_positions(finished: Path) -> None:
    (*_, positions, ids), worst = held_out(finished), evaluate(finished, report=False).worst_rows
    assert ids is None and positions is not None and {each.row for each in worst} <= set(positions.tolist())
    assert all(each.ids == [] for each in worst)


def test_ids_of_tables_files_and_batches_agree(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = table_of()
    table["f0"] = np.where(np.arange(120) % 2, table["f0"], np.nan)
    frame = pandas.DataFrame(table)
    frame.to_parquet(tmp_path / "x.parquet", index=False)
    expected = [(table["patient"][row], str(table["visit"][row])) for row in range(1, 120, 2)]
    sources = frame, str(tmp_path / "x.parquet"), str(csv_of(tmp_path, table)), iter([frame[:50], frame[50:50], frame[50:]])
    for source in sources:
        with open_features(source, Reading(ids=("patient", "visit")), missing="drop") as features:
            assert features.columns == tuple(NAMES) and features.ids is not None
            assert features.ids.take(np.arange(features.rows)) == expected
            assert features.ids.take(np.array([3, 50])) == [expected[3], expected[50]]


def test_training_from_python_keeps_ids() -> None:
    made = train_table(table_of(), ids=["patient", "visit"], latent_dim=2, hidden_dim=4, epochs=1, refit=False, report=False)
    ids = held_out(Path(made)).ids
    assert ids is not None and ids[0][0].startswith("pati")
    with pytest.raises(InputError, match="x has no column name"):
        train_table(table_of(), ids=["name"], latent_dim=2)


def test_damaged_ids_are_refused(run: Path, tmp_path: Path) -> None:
    copy = read_run(run).save(tmp_path / "copy")
    tensors, facts = read_state(Path(copy) / HELD_OUT)
    for change in ({"id_ends": tensors["id_ends"][1:]}, {"id_text": tensors["id_text"][1:]}, {"id_ends": -tensors["id_ends"]}):
        write_state(Path(copy) / HELD_OUT, tensors | change, facts)
        with pytest.raises(RunError, match="is damaged"):
            held_out(Path(copy))


def test_keys_of_folders_are_ids_and_conditions(tmp_path):
    """year=2023/ and the like: a column for --id, --condition and --split-column, never a feature."""
    rng = np.random.default_rng(0)
    for year in range(2000, 2010):
        (tmp_path / f"x/year={year}").mkdir(parents=True)
        np.save(tmp_path / f"x/year={year}/part.npy", rng.standard_normal((30, 3)).astype(np.float32))
    given = {"latent_dim": 2, "hidden_dim": [4], "epochs": 1, "refit": False, "report": False, "device": "cpu"}
    split = {"split": "group", "split_column": "year"}
    made = train_table(str(tmp_path / "x"), condition=["year"], ids=["year"], **split, **given)
    (spec,) = made.config.conditions
    assert (made.config.input_dim, spec.name, spec.mean) == (3, "year", 2004.5)
    assert {row.ids[0] for row in read_evaluation(Path(made)).worst_rows} <= {str(year) for year in range(2000, 2010)}
