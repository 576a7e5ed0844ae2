"""Missing values: means of training rows alone, one treatment of files and tables, counts in the report."""

from pathlib import Path

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae_training.config import TrainConfig, make_config
from aaptvae_training.evaluation.words import warnings_of_missing
from aaptvae_training.features import Prepared, open_features, prepare_features
from aaptvae_training.progress import TrainingProgress

from ..conftest import features_of, saved


def with_holes(rows: int = 200) -> np.ndarray:
    """A table in which every fifth value of column 2 and two more are missing."""
    table = features_of(rows)
    table[::5, 2] = np.nan
    table[[3, 4], [0, 7]] = np.nan
    return table


def prepared(source: object, rule: str = "mean", **options: object) -> tuple[Prepared, np.ndarray | None, np.ndarray]:
    """What training prepares, the values that replace missing ones, and all rows as training reads them."""
    config: TrainConfig = make_config({"missing": rule} | options)
    with open_features(source, missing=config.missing) as features:
        found = prepare_features(features, config, TrainingProgress())
        return found, features.fill, features.read(0, features.rows)


def test_means_are_those_of_training_rows() -> None:
    table = with_holes()
    found, fill, rows = prepared(table)
    assert fill is not None
    assert np.allclose(fill, np.nanmean(table[found.split.train].astype(np.float64), axis=0), rtol=1e-6)
    assert np.array_equal(rows, np.where(np.isnan(table), fill, table))
    assert found.missing == np.isnan(table).sum()
    assert np.array_equal(found.test, rows[found.split.test])


def test_held_out_rows_change_no_mean() -> None:
    table = with_holes()
    before, fill, _ = prepared(table)
    changed = table.copy()
    changed[np.concatenate(before.split[1:])] += 1000
    after, other, _ = prepared(changed)
    assert np.array_equal(fill, other) and np.array_equal(before.split.train, after.split.train)
    assert before.sha256 != after.sha256


@pytest.mark.parametrize("name", ["x.npy", "x.csv", "shards"])
@pytest.mark.parametrize("rule", ["mean", "drop"])
def test_files_and_tables_are_treated_alike(name: str, rule: str, tmp_path: Path) -> None:
    table = with_holes()
    if name == "shards":
        for number in range(2):
            saved(tmp_path / name, table[100 * number : 100 * number + 100], f"{number}.npy")
    elif name == "x.csv":
        np.savetxt(tmp_path / name, table, delimiter=",", fmt="%.9g")
    else:
        saved(tmp_path, table, name)
    ours, fill, rows = prepared(tmp_path / name, rule)
    memory, other, same = prepared(table, rule)
    assert ours.sha256 == memory.sha256 and np.array_equal(rows, same)
    assert (fill is None) == (other is None) == (rule == "drop")


def test_copies_are_found_among_values_as_they_are() -> None:
    table = with_holes()
    table[100:] = table[:100]
    found, _, _ = prepared(table)
    assert (found.copies, found.held_out_copies) == (100, 0)


def test_a_column_without_values_is_named() -> None:
    table = with_holes()
    table[:, 5] = np.nan
    with pytest.raises(InputError, match=r"column 5 has no value in any training row: .*--drop 5"):
        prepared(table)


def test_infinities_are_refused_by_their_row() -> None:
    table = with_holes()
    table[17, 2] = np.inf
    with pytest.raises(InputError, match="row 17, column 2 is inf"):
        prepared(table)


def test_a_split_by_groups_keeps_missing_groups_together() -> None:
    table = with_holes()
    table[:, 0] = np.arange(200) // 20
    table[:20, 0] = np.nan
    found, _, _ = prepared(table, split="group", split_column=0)
    assert len({part for part, index in enumerate(found.split) if np.isin(index, range(20)).any()}) == 1


def test_the_report_counts_what_was_missing() -> None:
    assert warnings_of_missing("mean", 0) == []
    assert "1,200 missing values are replaced by the mean" in warnings_of_missing("mean", 1200)[0]
    assert warnings_of_missing("drop", 1) == ["1 row lacked a value and was left out."]


@pytest.mark.parametrize("name", ["", "x.npy", "x.csv"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_rows_are_counted_before_rows_are_dropped(name: str, value: float, tmp_path: Path) -> None:
    """A row that is wrong is named by its place in the table, not among the rows that are left."""
    table = with_holes().astype(np.float64)
    table[123, 5] = value
    source: object = table
    if name:
        source = saved(tmp_path, table, "x.npy")
        if name == "x.csv":
            source = tmp_path / name
            np.savetxt(tmp_path / name, table, delimiter=",")
    with pytest.raises(InputError, match=r"features must be finite, but row 123, column 5 is -?inf in float32"):
        prepared(source, "drop")
