"""Folders such as year=2024: their keys are columns for the options that name them, and never features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae.files import Layout, open_output, open_rows

COLUMNS = ("a", "b")


def write(path: Path, rows: Any, columns: tuple[str, ...] = COLUMNS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = () if path.suffix == ".npy" else columns
    with open_output(path, Layout(width=len(columns), columns=named)) as writer:
        writer.write(np.array(rows, np.float32))


@pytest.fixture(params=["npy", "csv", "jsonl", "parquet", "arrow"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Shards of years and cities; one city is missing, one has a space and a colon."""
    if request.param in ("parquet", "arrow"):
        pytest.importorskip("pyarrow")
    write(tmp_path / f"year=2024/city=__HIVE_DEFAULT_PARTITION__/x-2.{request.param}", [[5, 6]])
    write(tmp_path / f"year=2023/city=a%20b%3Ac/x-1.{request.param}", [[1, 2], [3, 4]])
    return tmp_path


def test_keys_are_columns_that_pass_through(folder: Path) -> None:
    with open_rows(folder, ids=("city", "year")) as reader:
        (batch,) = reader.labelled(9)
        assert reader.columns in (None, COLUMNS) and reader.ids == ("city", "year")
    assert batch.values.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert [column.tolist() for column in batch.ids] == [["a b:c", "a b:c", None], [2023, 2023, 2024]]


@pytest.mark.parametrize("options", [{}, {"drop": ("year",)}, {"conditions": ("city",)}])
def test_keys_are_no_features(folder: Path, options: Any) -> None:
    with open_rows(folder, **options) as reader:
        assert reader.width == 2 and sum(map(len, reader.batches(2))) == 3
        assert ("folders by" in str(reader.notes)) and ("city" in str(reader.notes)) == (options.get("conditions") is None)
    with pytest.raises(InputError, match=r"has the key year in its path, which is no feature: name it with --id"):
        open_rows(folder, columns=("year",))


def test_keys_go_to_outputs_of_their_types(folder: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    with open_rows(folder, ids=("year", "city")) as reader:
        layout = Layout(width=2, columns=COLUMNS, ids=reader.ids, id_types=reader.id_types)
        with open_output(tmp_path / "out.parquet", layout) as writer:
            for batch in reader.labelled(2):
                writer.write(batch.values, batch.ids)
    found = pa.parquet.read_table(tmp_path / "out.parquet", partitioning=None)
    assert found.schema.field("year").type == pa.int64() and found.column("city").to_pylist() == ["a b:c", "a b:c", None]


def test_a_column_goes_before_a_key(tmp_path: Path) -> None:
    write(tmp_path / "b=7/x.csv", [[1, 2]])
    with open_rows(tmp_path, ids=("b",)) as reader:
        assert reader.columns == ("a",) and next(reader.labelled(1)).ids[0].tolist() == ["2"]


def test_a_shard_without_the_key_is_named(tmp_path: Path) -> None:
    write(tmp_path / "part=1/x.csv", [[1, 2]])
    write(tmp_path / "y.csv", [[1, 2]])
    with pytest.raises(InputError, match=r"y\.csv has no column part"):
        open_rows(tmp_path, ids=("part",))


def test_some_values_that_are_text_make_all_text(tmp_path: Path) -> None:
    for value in ("1", "01", "x"):
        write(tmp_path / f"part={value}/x.csv", [[1, 2]])
    with open_rows(tmp_path, ids=("part",)) as reader:
        assert sorted(value for batch in reader.labelled(9) for value in batch.ids[0]) == ["01", "1", "x"]
    with open_rows(tmp_path / "part=1/x.csv", ids=("part",)) as reader:
        assert next(reader.labelled(1)).ids[0].tolist() == [1]
