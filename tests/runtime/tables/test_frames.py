"""Objects with columns: names are matched whoever holds them, and nothing is read that is masked, uneven or no number."""

import collections
import sqlite3
from collections.abc import Callable
from types import MappingProxyType
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


class Labelled:
    """An array whose dimensions have labels, as in xarray."""

    ndim, dims, indexes = 2, ("row", "name"), MappingProxyType({"name": ["c", "b", "a"]})

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return X[:, ::-1]


RECORDS: dict[str, Callable[[], Any]] = {
    "dicts": lambda: [dict(zip("cba", row, strict=True)) for row in X[:, ::-1].tolist()],
    "named tuples": lambda: [Point(*row) for row in X[:, ::-1].tolist()],
    "rows of a database": database,
    "rows of pandas": pandas_rows,
    "tuple of dicts": lambda: tuple(dict(zip("cba", row, strict=True)) for row in X[:, ::-1].tolist()),
    "records of numpy": lambda: list(np.array([tuple(row) for row in X[:, ::-1].tolist()], [(name, "f4") for name in "cba"])),
    "labelled array": Labelled,
    "mapping of queues": lambda: dict(zip("cba", map(collections.deque, X.T[::-1]), strict=True)),
    "mapping of lists": lambda: dict(zip("cba", X.T[::-1].tolist(), strict=True)),
    "mapping of tensors": lambda: dict(zip("cba", pytest.importorskip("torch").from_numpy(X).T.flip(0), strict=True)),
}


@pytest.mark.parametrize("form", RECORDS)
def test_records_are_matched_by_name(form: str) -> None:
    table = as_table(RECORDS[form](), columns=NAMES)
    assert np.array_equal(table.values, X) and table.columns == NAMES


def test_masked_arrays_without_a_masked_value_are_read(vae: VAE) -> None:
    x = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    assert np.array_equal(vae.embed(np.ma.masked_array(x)), vae.embed(x))
    fields = np.ma.masked_array(np.zeros(3, [("mask", "f4"), ("b", "f4")]))
    assert as_table(fields).columns == ("mask", "b")


def test_permuted_tensors_are_read_in_their_logical_order() -> None:
    """Storage of a tensor of Arrow may be transposed."""
    pa = pytest.importorskip("pyarrow")
    kind = pa.fixed_shape_tensor(pa.float32(), [3, 2], permutation=[1, 0])  # logical [2, 3]
    stored = np.arange(6, dtype=np.float32).reshape(2, 3).T.copy()
    column = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), 6))
    assert as_table(pa.table({"v": column})).values.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_negative_views_of_torch_are_read() -> None:
    t = pytest.importorskip("torch")
    assert np.array_equal(as_table(t._neg_view(t.from_numpy(-X))).values, X)


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


def pyarrow(make: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: make(pytest.importorskip("pyarrow"))


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
    "rows with None": (lambda: [[None, 1.0, 2.0, 3.0, 4.0]], "nan at row 0"),
    "list of frames": (pandas(lambda pd: [pd.DataFrame(X)] * 2), r"list of 2 tables \(DataFrame\): expected .*join"),
    "list of one array": (lambda: [X], r"list of one table \(ndarray\): expected the table itself: pass x\[0\]$"),
    "list of objects": (lambda: [object()] * 3, "list of object: expected rows of numbers"),
    "an object": (object, "x is a object: expected numbers"),
    "grouped frame": (polars(lambda pl: pl.DataFrame({"a": [1.0]}).group_by("a")), "x is a GroupBy: expected numbers"),
    "sparse column": (lambda: {"a": pytest.importorskip("scipy.sparse").csr_matrix(X[:, :1])}, "a is a sparse matrix"),
    "column read once": (lambda: {"a": iter(X)}, "read once: expected a column in a mapping"),
    "column of text in one": (lambda: {"a": "text", "b": [1.0] * 4}, r"no numbers: a \(str\)"),
    "other indices": (
        pandas(lambda pd: {"a": pd.Series([1.0, 2.0]), "b": pd.Series([1.0, 2.0], index=[1, 0])}),
        "Series of pandas with different indices",
    ),
    "records in two dimensions": (lambda: np.zeros((2, 3), [("a", "f4")]), r"structured array of shape \(2, 3\)"),
    "vectors of two lengths": (pandas(lambda pd: pd.DataFrame({"v": [[1.0], [1.0, 2.0]]})), "^x is a column with nulls or"),
    "Arrow dataset": (pyarrow(lambda pa: pytest.importorskip("pyarrow.dataset").dataset(pa.table({"a": [1]}))), "to_table"),
    "Arrow scalar": (pyarrow(lambda pa: pa.array([[1.0]])[0]), "ListScalar, one value of Arrow"),
    "nested tensor": (torch(lambda t: t.nested.nested_tensor([t.ones(2)], layout=t.jagged)), "nested tensor: expected a dense"),
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
