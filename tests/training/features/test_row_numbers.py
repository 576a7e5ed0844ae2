"""Columns that are no features: row numbers and float64 columns that float32 cannot hold are said or refused."""

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae_training.config import TrainConfig
from aaptvae_training.diagnosis import describe, diagnose
from aaptvae_training.features import Prepared, open_features, prepare_features
from aaptvae_training.progress import TrainingProgress

from ..conftest import features_of

COUNT = np.arange(60.0)


class Notes(TrainingProgress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def note(self, text: str) -> None:
        self.kept.append(text)


def prepared(source: object) -> tuple[Prepared, list[str]]:
    notes = Notes()
    with open_features(source) as features:
        return prepare_features(features, TrainConfig(), notes), notes.kept


def table(**more: np.ndarray) -> dict[str, np.ndarray]:
    return {f"c{k}": column for k, column in enumerate(features_of(60, 4).T)} | more


@pytest.mark.parametrize("name", ["Unnamed: 0", "unnamed_4", "__index_level_0__", "level_0", ""])
@pytest.mark.parametrize("values", [COUNT, COUNT + 1, np.cumsum(1 + COUNT % 3), COUNT[::-1]])
def test_a_nameless_index_is_asked_about(name: str, values: np.ndarray) -> None:
    with pytest.raises(InputError, match=rf"column 4, called '{name}', holds different whole numbers.*drop=\['{name}'\]"):
        prepared(table(**{name: values}))


def test_a_row_number_is_said() -> None:
    found, notes = prepared(table(t=COUNT + 7))
    assert found.warnings == (
        "column t rises by one from row to row, as a row number does: if it is one, leave it out with --drop t",
    )
    assert notes == ["warning: " + found.warnings[0]]
    array, _ = prepared(np.column_stack([features_of(60, 4), COUNT]))
    assert "column 4 rises by one" in array.warnings[0]


@pytest.mark.parametrize("values", [COUNT * 2, COUNT[::-1], np.where(COUNT == 30, 7, COUNT), COUNT / 8])
def test_other_columns_are_no_row_numbers(values: np.ndarray) -> None:
    assert prepared(table(t=values))[0].warnings == ()


def test_float64_that_float32_cannot_hold_is_said() -> None:
    rows = features_of(60, 3).astype(np.float64)
    mixed = np.column_stack([rows[:, 0], rows[:, 1] * 1e-2 + 1e5, rows[:, 2] * 1e-6 + 1e9])
    found, notes = prepared(mixed)
    assert "float32 cannot hold the variation of 2 columns (1, 2)" in found.warnings[0]
    assert len([note for note in notes if note.startswith("warning: ")]) == 1
    assert prepared(mixed.astype(np.float32))[0].warnings == ()


def test_a_table_lost_in_float32_is_refused() -> None:
    lost = features_of(60, 3).astype(np.float64) * 1e-3 + 1.7e9
    with pytest.raises(InputError, match=r"every column is constant in float32.*\(0, 1, 2\).*subtract an offset in float64"):
        prepared(lost)


def test_diagnose_counts_copies_of_rows(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.repeat(features_of(6), 10, axis=0))
    found = diagnose(tmp_path / "x.npy")
    assert found.copied_rows == 54 and "copies of rows     54 of 60" in describe(found)
    np.save(tmp_path / "x.npy", features_of(60))
    assert "copies of rows     none" in describe(diagnose(tmp_path / "x.npy"))
