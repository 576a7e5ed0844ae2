"""Objects with columns: names are matched whoever holds them, and nothing is read that is masked, uneven or no number."""

import collections
import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aaptvae import VAE, InputError
from aaptvae.tables import UNNAMED, as_table

X = np.arange(12, dtype=np.float32).reshape(4, 3)
NAMES = ("a", "b", "c")
Point = collections.namedtuple("Point", "c b a")


def database() -> Any:
    base = sqlite3.connect(":memory:")
    base.row_factory = sqlite3.Row
    base.execute("create table t (c real, b real, a real)")
    base.executemany("insert into t values (?, ?, ?)", X[:, ::-1].tolist())
    return base.execute("select * from t").fetchall()


def pandas_rows() -> Any:
    frame = pytest.importorskip("pandas").DataFrame(X[:, ::-1], columns=["c", "b", "a"])
    return [row for _, row in frame.iterrows()]


RECORDS: dict[str, Callable[[], Any]] = {
    "dicts": lambda: [dict(zip("cba", row, strict=True)) for row in X[:, ::-1].tolist()],
    "named tuples": lambda: [Point(*row) for row in X[:, ::-1].tolist()],
    "rows of a database": database,
    "rows of pandas": pandas_rows,
    "mapping of lists": lambda: dict(zip("cba", X.T[::-1].tolist(), strict=True)),
    "mapping of tensors": lambda: dict(zip("cba", pytest.importorskip("torch").from_numpy(X).T.flip(0), strict=True)),
}


@pytest.mark.parametrize("form", RECORDS)
def test_records_are_matched_by_name(form: str) -> None:
    table = as_table(RECORDS[form](), columns=NAMES)
    assert np.array_equal(table.values, X) and table.columns == NAMES


def frame_of_positions(names: list[Any]) -> Any:
    return pytest.importorskip("pandas").DataFrame(dict(zip(names, X.T[::-1], strict=True)))


POSITIONS: dict[str, Callable[[], Any]] = {
    "frame": lambda: frame_of_positions([2, 1, 0]),
    "frame of text": lambda: frame_of_positions(["2", "1", "0"]),
    "our own names": lambda: frame_of_positions(["x2", "x1", "x0"]),
    "records": lambda: [dict(zip((2, 1, 0), row, strict=True)) for row in X[:, ::-1].tolist()],
    "arrow": lambda: pytest.importorskip("pyarrow").table(dict(zip("210", X.T[::-1], strict=True))),
    "polars": lambda: pytest.importorskip("polars").DataFrame(dict(zip("210", X.T[::-1].copy(), strict=True))),
}


@pytest.mark.parametrize("form", POSITIONS)
def test_names_that_are_positions_are_positions(form: str) -> None:
    """For a model that was trained on columns without names."""
    assert np.array_equal(as_table(POSITIONS[form](), columns=UNNAMED).values, X)
    assert np.array_equal(as_table(POSITIONS[form]()).values, X[:, ::-1])  # in training, the order of the table


def test_positions_are_names_of_a_model() -> None:
    """A model that was trained on columns 2, 1, 0 is given a frame whose columns have no names."""
    frame = pytest.importorskip("pandas").DataFrame(X)
    assert np.array_equal(as_table(frame, columns=("2", "1", "0")).values, X[:, ::-1])


def test_latents_are_matched_without_names_too(vae: VAE) -> None:
    z = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    assert vae.columns is None
    assert np.array_equal(vae.decode({"z1": z[:, 1], "z0": z[:, 0]}), vae.decode(z))


def polars(make: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: make(pytest.importorskip("polars"))


def pandas(make: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: make(pytest.importorskip("pandas"))


def torch(make: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: make(pytest.importorskip("torch"))


MASKED = np.ma.masked_array(X, mask=X > 5)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "masked columns": (lambda: {"a": MASKED[:, 0], "b": X[:, 1]}, r"masked arrays \(a\): expected no masked values"),
    "masked fields": (lambda: np.ma.masked_array(np.zeros(3, [("a", "f4")]), mask=[(True,)] * 3), "is a masked array"),
    "uneven columns": (lambda: {"a": X[:, 0], "b": X[:2, 0]}, r"columns of several lengths \(a 4, b 2\)"),
    "uneven vectors in vectors": (pandas(lambda pd: pd.DataFrame({"v": [[[1.0, 2.0], [3.0]]]})), "no numbers: v"),
    "uneven later": (pandas(lambda pd: pd.DataFrame({"v": [[1.0, 2.0], [[1.0], 2.0]]})), "numpy cannot read"),
    "128 bits": (polars(lambda pl: pl.DataFrame({"a": [1]}).cast(pl.Int128)), r"no numbers: a \(Int128: 1 of 1 are numbers\)"),
    "tensor without data": (torch(lambda t: t.empty(2, 3, device="meta")), "tensor that numpy cannot read"),
    "complex tensor": (torch(lambda t: t.conj(t.ones(2, 3, dtype=t.complex64))), "dtype complex64"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_table_is_refused(vae: VAE, form: str) -> None:
    make, words = REFUSED[form]
    with pytest.raises(InputError, match=words):
        vae.embed(make())


@pytest.mark.parametrize("kind", ["Array", "List"])
def test_a_column_of_no_vectors_has_no_rows(kind: str) -> None:
    pl = pytest.importorskip("polars")
    made = as_table(
        pl.DataFrame({"v": pl.Series([], dtype=pl.Array(pl.Float32, 3) if kind == "Array" else pl.List(pl.Float32))})
    )
    assert made.values.shape == (0, 3 if kind == "Array" else 0)


@pytest.mark.parametrize("other", ["A", " a", "a ", "ａ"])
def test_names_that_nearly_agree_are_pointed_at(other: str) -> None:
    with pytest.raises(InputError, match=r"lacks the column a .*names differ in case, spaces or Unicode form"):
        as_table({other: X[:, 0], "b": X[:, 1], "c": X[:, 2]}, columns=NAMES)
    with pytest.raises(InputError, match="differ in case"):
        as_table({"e\u0301": X[:, 0]}, columns=["\u00e9"])


def test_a_stored_index_is_a_column_where_it_is_wanted() -> None:
    """pandas stores `frame.set_index("a")` with the column a, which a model may know."""
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    table = pa.Table.from_pandas(pd.DataFrame(X, columns=list(NAMES)).set_index("a"))
    assert np.array_equal(as_table(table, columns=NAMES).values, X)
    assert as_table(table).columns == ("b", "c")
    assert as_table(table, columns=("b", "c"), passthrough=["a"]).columns == ("b", "c")
