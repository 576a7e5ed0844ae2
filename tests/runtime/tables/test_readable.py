"""Columns of text that is numbers: the refusal counts them, and the conversion that it names gives the numbers."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae.files import open_rows
from aaptvae.tables import as_table

WHOLE, PART = ["1.5", "-2", "3e1"], ["1.5", "-", "3e1"]


def tables() -> dict[str, tuple[Any, list[float]]]:
    """Tables with a column c that is no number, and its numbers."""
    pd, pl, pa = (pytest.importorskip(package) for package in ("pandas", "polars", "pyarrow"))
    a, numbers, lost = [1.0, 2.0, 3.0], [1.5, -2.0, 30.0], [1.5, np.nan, 30.0]
    decimals = [Decimal(text) for text in WHOLE]
    return {
        "mapping": ({"a": a, "c": WHOLE}, numbers),
        "pandas text": (pd.DataFrame({"a": a, "c": WHOLE}), numbers),
        "pandas nullable": (pd.DataFrame({"a": a, "c": pd.array(["1.5", None, "30"], "string")}), lost),
        "pandas most": (pd.DataFrame({"a": a, "c": PART}), lost),
        "pandas empty text": (pd.DataFrame({"a": a, "c": ["1.5", "", "30"]}), lost),
        "pandas decimals": (pd.DataFrame({"a": a, "c": decimals}), numbers),
        "pandas categories": (pd.DataFrame({"a": a, "c": pd.Categorical(WHOLE)}), numbers),
        "Polars text": (pl.DataFrame({"a": a, "c": WHOLE}), numbers),
        "Polars most": (pl.DataFrame({"a": a, "c": PART}), lost),
        "Polars categories": (pl.DataFrame({"a": a, "c": WHOLE}, schema_overrides={"c": pl.Categorical}), numbers),
        "Polars decimals": (pl.DataFrame({"a": a, "c": decimals}), numbers),
        "Arrow text": (pa.table({"a": a, "c": WHOLE}), numbers),
        "Arrow decimals": (pa.table({"a": a, "c": decimals}), numbers),
        "Arrow dictionary": (pa.table({"a": a, "c": pa.array(WHOLE).dictionary_encode()}), numbers),
    }


def test_the_advised_conversion_gives_the_numbers() -> None:
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for name, (x, expected) in tables().items():
        with pytest.raises(InputError, match=r"no numbers: c \(.*: \d of \d are numbers\): convert") as refused:
            as_table(x)
        call = re.search(r"such as c with (.*), or drop them", str(refused.value))
        assert call, name
        made = eval(call[1], {"x": x, "pd": pd, "pl": pl, "np": np})  # noqa: S307 - our own text
        made = x.with_columns(made)["c"] if isinstance(made, pl.Expr) else made
        assert np.array_equal(np.asarray(made, float), expected, equal_nan=True), name


def test_what_is_no_number_is_not_counted() -> None:
    x = {"a": [1.0, 2.0], "c": ["Rome", "1_0"]}
    with pytest.raises(InputError, match=r"no numbers: c \(<U4\): convert them, or drop them"):
        as_table(x)
    with pytest.raises(InputError, match=r"no numbers: c \(timedelta64\[s\]\): convert them, or"):
        as_table({"a": [1.0, 2.0], "c": np.array([1, 2], "m8[s]")})


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
def test_files_count_numbers_in_their_first_rows(tmp_path: Path, kind: str) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1.0] * 3, "c": ["-", "2.5", "3"]})
    path = tmp_path / f"x.{kind}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet, "arrow": frame.write_ipc}[kind](path)
    with pytest.raises(
        InputError, match=r"no numbers: c \(\w+: 2 of the first 3 are numbers\): write these as numbers .*--drop"
    ):
        open_rows(path)
