"""Objects that hold tables become numbers with names, or are refused in words that say what to pass."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aaptvae
from aaptvae import VAE, InputError
from aaptvae.tables import as_table

X = np.arange(12, dtype=np.float32).reshape(4, 3)
NAMES = ("a", "b", "c")


def numpy_forms() -> dict[str, tuple[object, tuple[str, ...] | None]]:
    columns = {name: X[:, index] for index, name in enumerate(NAMES)}
    return {
        "array": (X, None),
        "list": (X.tolist(), None),
        "structured": (np.array([tuple(row) for row in X.tolist()], [(name, "f4") for name in NAMES]), NAMES),
        "mapping": (columns, NAMES),
        "mapping of lists": ({name: column.tolist() for name, column in columns.items()}, NAMES),
        "mapping with one matrix": ({"e": X}, None),
    }


@pytest.mark.parametrize("form", numpy_forms())
def test_forms_without_a_package_become_tables(form: str) -> None:
    given, names = numpy_forms()[form]
    table = as_table(given)
    assert np.array_equal(table.values, X) and table.columns == names


def arrow_forms() -> dict[str, tuple[object, tuple[str, ...] | None]]:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({name: X[:, index] for index, name in enumerate(NAMES)})
    lists, fixed = pa.array(X.tolist()), pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 3)
    return {
        "table": (table, NAMES),
        "record batch": (table.to_batches()[0], NAMES),
        "reader": (table.to_reader(), NAMES),
        "list column": (pa.table({"e": lists}), None),
        "fixed-size list column": (pa.table({"e": fixed}), None),
        "list array": (lists, None),
        "chunked fixed-size lists": (pa.chunked_array([fixed.slice(0, 1), fixed.slice(1)]), None),
        "sliced lists": (pa.array([[9.0, 9.0, 9.0], *X.tolist()]).slice(1), None),
        "large lists": (pa.array(X.tolist(), pa.large_list(pa.float32())), None),
        "tensor column": (pa.table({"e": pa.FixedShapeTensorArray.from_numpy_ndarray(X)}), None),
        "capsule": (Capsule(table), NAMES),
        "stored index": (table.append_column("i", pa.array(range(4))).replace_schema_metadata(INDEX), NAMES),
    }


INDEX = {"pandas": '{"index_columns": ["i"], "columns": []}'}


class Capsule:
    """An object of an unknown package that offers the Arrow C stream."""

    def __init__(self, table: object) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)  # type: ignore[attr-defined]


def test_arrow_objects_become_tables() -> None:
    for form, (given, names) in arrow_forms().items():
        table = as_table(given)
        assert np.array_equal(table.values, X) and table.columns == names, form


def test_pandas_objects_become_tables() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list(NAMES))
    for form in (frame, frame.astype("Float32"), frame.astype("Int64"), frame.set_index(pd.Index(list("wxyz")))):
        table = as_table(form)
        assert np.array_equal(table.values, X) and table.columns == NAMES
    assert as_table(pd.DataFrame(X)).columns is None
    for form in (pd.Series(list(X)), pd.Series(X.tolist()), pd.DataFrame({"e": list(X)})):
        assert np.array_equal(as_table(form).values, X)


def test_polars_objects_become_tables() -> None:
    pl = pytest.importorskip("polars")
    assert as_table(pl.DataFrame(X, schema=list(NAMES))).columns == NAMES
    for form in (pl.Series("e", X.tolist()), pl.Series("e", X), pl.DataFrame({"e": X.tolist()}), pl.DataFrame(X)):
        assert np.array_equal(as_table(form).values, X)
    with pytest.raises(InputError, match=r"x is a LazyFrame.*pass x.collect\(\)"):
        as_table(pl.DataFrame(X).lazy())


def test_torch_tensors_are_detached() -> None:
    torch = pytest.importorskip("torch")
    for tensor in (torch.tensor(X, requires_grad=True), torch.tensor(X).bfloat16(), torch.tensor(X).half()):
        assert np.array_equal(as_table(tensor).values, X)
    with pytest.raises(InputError, match=r"sparse tensor .*pass x.to_dense\(\)"):
        as_table(torch.tensor(X).to_sparse())


def test_scipy_sparse_is_refused_with_toarray() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for matrix in (sparse.csr_matrix(X), sparse.coo_array(X)):
        with pytest.raises(InputError, match=r"x is a sparse matrix .*pass x.toarray\(\)"):
            as_table(matrix)


def test_missing_values_become_nan() -> None:
    pa = pytest.importorskip("pyarrow")
    table = as_table(pa.table({"a": [1.0, None], "b": pa.array([None, 2], pa.int64())}))
    assert np.isnan(table.values).tolist() == [[False, True], [True, False]]


def test_columns_without_numbers_are_all_named() -> None:
    columns = {"a": [1.0], "city": np.array(["x"]), "day": np.array(["2020"], "M8[D]"), "ok": np.array([True])}
    with pytest.raises(InputError, match=r"city \(<U1\), day \(datetime64\[D\]\), ok \(bool\): convert them, or drop"):
        as_table(columns)
    table = as_table(columns, columns=["ok", "a"], passthrough=["city", "day"])
    assert table.values.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("ab", r"x lacks the column c: expected a, b, c"),
        ("", r"x lacks 3 columns: a, b, c"),
        ("abz", r"x lacks the column c \(and has others: z\)"),
        ("abcd", r"x has the column d, unknown to the model: .*passthrough="),
    ],
)
def test_missing_and_unknown_columns_are_named(names: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_table({name: [1.0] for name in names}, columns=NAMES)


def test_another_order_is_matched_by_name() -> None:
    given = {"c": X[:, 2], "id": np.array(list("wxyz")), "a": X[:, 0], "b": X[:, 1]}
    table = as_table(given, columns=NAMES, passthrough=["id"])
    assert np.array_equal(table.values, X) and table.columns == NAMES


def test_an_iterator_is_refused(vae: VAE) -> None:
    with pytest.raises(InputError, match=r"generator, which is read once: .*encode_batches"):
        vae.embed(row for row in X)


def test_the_api_takes_tables(vae: VAE, x: np.ndarray) -> None:
    table = {f"v{index}": column for index, column in enumerate(x.T)}
    assert np.array_equal(vae.embed(table), vae.embed(x))
    assert np.array_equal(vae.reconstruct(table), vae.reconstruct(x))
    assert np.array_equal(vae.score(table).elbo, vae.score(x).elbo)
    beside = {"id": np.array(["q"] * len(x)), **table}
    assert np.array_equal(vae.encode(vae.features(beside, passthrough=["id"])), vae.encode(x))


def test_latents_are_matched_by_name(named: Path, vae: VAE, x: np.ndarray) -> None:
    model = aaptvae.load(named)
    z = vae.embed(x)
    swapped = {"z1": z[:, 1], "z0": z[:, 0]}
    assert np.array_equal(model.decode(swapped), vae.decode(z))
    assert np.array_equal(vae.decode({"u": z[:, 0], "v": z[:, 1]}), vae.decode(z))  # no names, no order to match
    with pytest.raises(InputError, match=r"z lacks the column z1 \(and has others: v\)"):
        model.decode({"z0": z[:, 0], "v": z[:, 1]})


def test_records_become_tables() -> None:
    rows = [dict(zip(NAMES, row, strict=True)) for row in X.tolist()]
    table = as_table(rows, columns=("c", "b", "a"))
    assert np.array_equal(table.values, X[:, ::-1]) and table.columns == ("c", "b", "a")
    assert np.isnan(as_table([{"a": 1.0}, {"a": None}]).values).tolist() == [[False], [True]]
    with pytest.raises(InputError, match="record 1 has other keys than record 0: expected a, b, c"):
        as_table([*rows[:1], {"a": 1.0}])
    with pytest.raises(InputError, match=r"a is one value: .*for one row pass a list of it, \[x\]"):
        as_table(rows[0])


def test_chosen_columns_are_names_or_positions() -> None:
    table = {"id": np.array(list("wxyz")), **{name: X[:, index] for index, name in enumerate(NAMES)}}
    assert np.array_equal(as_table(table, chosen=["c", "a"]).values, X[:, [2, 0]])
    assert np.array_equal(as_table(table, passthrough="id").values, X)
    assert np.array_equal(as_table(X, chosen=["2", "0"]).values, X[:, [2, 0]])
    assert np.array_equal(as_table(X.tolist(), passthrough=[1]).values, X[:, [0, 2]])
    with pytest.raises(InputError, match="x has no column 3: its columns are 0, 1, 2"):
        as_table(X, passthrough=["3"])


def test_sparse_columns_of_pandas_are_read() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({name: pd.arrays.SparseArray(X[:, index]) for index, name in enumerate(NAMES)})
    assert np.array_equal(as_table(frame).values, X)


def test_equal_names_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=r"x has columns of equal name \(a\)"):
        as_table(pd.DataFrame(X, columns=["a", "b", "a"]))


def test_bad_values_are_called_by_name(named: Path, x: np.ndarray) -> None:
    model = aaptvae.load(named)
    holes = x.copy()
    holes[7, 3] = np.nan
    table = {name: holes[:, index] for index, name in reversed(list(enumerate("abcde")))}
    for method in (model.embed, model.encode, model.reconstruct, model.score, model.log_likelihood):
        with pytest.raises(InputError, match="x has nan at row 7, column d"):
            method(table)


def test_a_vector_column_beside_others_is_named() -> None:
    with pytest.raises(InputError, match=r"x holds vectors in column e beside 1 others: drop them, or name them"):
        as_table({"e": X, "id": np.arange(4)})
    assert np.array_equal(as_table({"e": X, "id": np.arange(4)}, chosen=["e"]).values, X)


def all_missing() -> list[Any]:
    """Tables of columns a and b, b without a value; the packages give it types of their own."""
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    return [
        pa.table({"a": [1.0], "b": pa.nulls(1)}),
        pl.DataFrame({"a": [1.0], "b": [None]}),
        pd.DataFrame([{"a": 1.0, "b": None}]),
        pd.DataFrame({"a": [1.0], "b": [pd.NA]}, dtype=object).astype({"a": float}),
        [{"a": 1.0, "b": None}],
    ]


@pytest.mark.parametrize("kind", range(5))
def test_columns_of_missing_values_alone_are_numbers(kind: int) -> None:
    table = as_table(all_missing()[kind], columns=("a", "b"))
    assert np.array_equal(np.asarray(table.values, np.float64), [[1, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    ("x", "chosen", "words"),
    [
        ({"a": [1.0], "b": [2.0]}, ("a", "a"), "columns has a more than once"),
        (np.ones((2, 3)), ("1", "1"), "columns has 1 more than once"),
        (["x.csv", "y.csv"], (), "x is a list of paths or text: .* a pattern"),
        ({"a": np.ones((2, 1)), "b": np.ones((2, 1))}, ("a", "b"), r"a \(float64 of shape \(2, 1\)\)"),
    ],
)
def test_tables_without_sense_are_refused_in_words(x: Any, chosen: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_table(x, chosen=chosen)
