"""Python objects that hold the rows `X` [60, 5], and some that nearly do, by the words of docs/inputs.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import scipy.sparse
import torch

NAMES = tuple("abcde")
# Small integers of a varying table: the same numbers in every type of number.
X = np.random.default_rng(0).integers(-9, 9, (60, 5)).astype(np.float32)


def frame(**options: Any) -> pd.DataFrame:
    return pd.DataFrame(X, columns=list(NAMES), **options)


def arrow() -> pa.Table:
    return pa.table({name: X[:, index] for index, name in enumerate(NAMES)})


def lists(missing: bool = False) -> pa.Array:
    return pa.array([None, *X[1:].tolist()] if missing else X.tolist(), pa.list_(pa.float32()))


def fixed() -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 5)


def put(value: float, dtype: str = "f4") -> np.ndarray:
    rows = X.astype(dtype)
    rows[7, 2] = value
    return rows


def mapped() -> np.memmap:
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryFile() as file:
        rows = np.memmap(file, np.float32, "w+", shape=X.shape)
    rows[:] = X
    return rows


class Capsule:
    """An object of another package that offers its table over the Arrow C stream, as DuckDB and Daft do."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return arrow().__arrow_c_stream__(requested_schema)


def frame_with(**columns: Any) -> pd.DataFrame:
    return frame().assign(**columns)


def with_nulls() -> pd.DataFrame:
    made = frame().astype("Float32")
    made.loc[7, "c"] = pd.NA
    return made


def two_levels() -> pd.DataFrame:
    return frame().set_axis(pd.MultiIndex.from_product([["x"], list(NAMES)]), axis=1)


OBJECTS: dict[str, Callable[[], Any]] = {
    "array, float32": lambda: X,
    "array, float64": lambda: X.astype("f8"),
    "array, float16": lambda: X.astype("f2"),
    "array, int8": lambda: X.astype("i1"),
    "array, int64": lambda: X.astype("i8"),
    "array, bool": lambda: X > 0,
    "array, objects that are numbers": lambda: X.astype(object),
    "array, text": lambda: X.astype(str),
    "array, complex": lambda: X.astype(complex),
    "array, datetime64": lambda: X.astype("i8").astype("M8[D]"),
    "array in Fortran order": lambda: np.asfortranarray(X),
    "array with strides": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    "array, big-endian": lambda: X.astype(">f4"),
    "array, memory-mapped": mapped,
    "array, masked": lambda: np.ma.masked_equal(X, 3),
    "array, structured (named fields)": lambda: np.array([tuple(row) for row in X.tolist()], [(name, "f4") for name in NAMES]),
    "list of lists": X.tolist,
    "list of rows of several lengths": lambda: [*X[1:].tolist(), [1.0]],
    "one row, `x[0]`": lambda: X[0],
    "array of no rows": lambda: X[:0],
    "array of one row": lambda: X[:1],
    "array of three dimensions": lambda: X[None],
    "array with another width": lambda: X[:, :4],
    "array with NaN": lambda: put(np.nan),
    "array with an infinity": lambda: put(np.inf),
    "array, float64, with 1e39": lambda: put(1e39, "f8"),
    "array, float32, with 3e38": lambda: put(3e38),
    "array, float64, with variation below float32": lambda: X.astype("f8") * 1e-3 + 1e9,
    "array, masked, without a masked value": lambda: np.ma.masked_array(X),
    "mapping of names to columns": lambda: {name: X[:, index] for index, name in enumerate(NAMES)},
    "mapping with a masked column": lambda: {name: np.ma.masked_array(X[:, at], X[:, at] > 5) for at, name in enumerate(NAMES)},
    "mapping of columns of several lengths": lambda: {name: X[: 60 - at, at] for at, name in enumerate(NAMES)},
    "mapping of Series of pandas, in different orders": lambda: {
        name: frame()[name].sample(frac=1, random_state=at) for at, name in enumerate(NAMES)
    },
    "mapping of torch tensors": lambda: {name: torch.from_numpy(X[:, at].copy()) for at, name in enumerate(NAMES)},
    "list of named tuples": lambda: list(frame().itertuples(index=False)),
    "list of rows of pandas, in another order": lambda: [row for _, row in frame()[list("edcba")].iterrows()],
    "list of records": lambda: [dict(zip(NAMES, row, strict=True)) for row in X.tolist()],
    "list of records with None": lambda: [dict(zip(NAMES, row, strict=True), c=None) for row in X.tolist()],
    "list of rows with None": lambda: [[None, *row[1:]] for row in X.tolist()],
    "list of tables": lambda: [frame()[:30], frame()[30:]],
    "iterator of single rows": lambda: iter(X),
    "one record": lambda: dict(zip(NAMES, X[0].tolist(), strict=True)),
    "generator of batches": lambda: (X[start : start + 20] for start in (0, 20, 40)),
    "path": lambda: Path("missing.npy"),
    "None": lambda: None,
    "torch tensor": lambda: torch.from_numpy(X),
    "torch tensor, bfloat16": lambda: torch.from_numpy(X).bfloat16(),
    "torch tensor that requires grad": lambda: torch.from_numpy(X.copy()).requires_grad_(),
    "torch tensor, sparse": lambda: torch.from_numpy(X).to_sparse(),
    "torch DataLoader": lambda: torch.utils.data.DataLoader(torch.from_numpy(X)),
    "scipy sparse matrix": lambda: scipy.sparse.csr_matrix(X),
    "scipy sparse array": lambda: scipy.sparse.coo_array(X),
    "pandas DataFrame": frame,
    "pandas, columns in another order": lambda: frame()[list("edcba")],
    "pandas, columns without names (0, 1, ...)": lambda: pd.DataFrame(X),
    "pandas, names in another case": lambda: frame().set_axis(list("ABCDE"), axis=1),
    "pandas, an index of text": lambda: frame(index=[f"r{index}" for index in range(60)]),
    "pandas, filtered (an index with gaps)": lambda: frame(index=range(1, 121, 2)),
    "pandas, an index stored as a column, `Unnamed: 0`": lambda: pd.concat(
        [pd.Series(range(60), name="Unnamed: 0"), frame()], axis=1
    ),
    "pandas, nullable Float32": lambda: frame().astype("Float32"),
    "pandas, nullable Int64": lambda: frame().astype("Int64"),
    "pandas, Arrow-backed": lambda: frame().astype("float[pyarrow]"),
    "pandas, sparse columns": lambda: frame().astype(pd.SparseDtype("float32", 0)),
    "array, int64, with values beyond float32": lambda: X.astype("i8") + 2**40,
    "pandas, a null": with_nulls,
    "pandas, a column of text": lambda: frame_with(city="Rome"),
    "pandas, a column of text that is numbers": lambda: frame_with(e=X[:, 4].astype(str)),
    "pandas, a column of text, most of it numbers": lambda: frame_with(e=["-", *X[1:, 4].astype(str)]),
    "pandas, a categorical column": lambda: frame_with(kind=pd.Categorical(["u"] * 60)),
    "pandas, a column of dates": lambda: frame_with(day=pd.Timestamp("2026-01-01")),
    "pandas, a column of bool": lambda: frame_with(ok=X[:, 0] > 0),
    "pandas, a column of objects that are numbers": lambda: frame_with(e=X[:, 4].astype(object)),
    "pandas, two columns of equal name": lambda: frame().set_axis(list("abcda"), axis=1),
    "pandas, a column is missing": lambda: frame().drop(columns="d"),
    "pandas, a column more": lambda: frame_with(f=X[:, 0] * 2),
    "pandas, a MultiIndex of columns": two_levels,
    "pandas, one column of vectors": lambda: pd.DataFrame({"embedding": list(X)}),
    "pandas Series of vectors": lambda: pd.Series(X.tolist()),
    "Polars DataFrame": lambda: pl.DataFrame(X, schema=list(NAMES)),
    "Polars, columns in another order": lambda: pl.DataFrame(X, schema=list(NAMES)).select(list("cadbe")),
    "Polars LazyFrame": lambda: pl.DataFrame(X, schema=list(NAMES)).lazy(),
    "Polars, one column of lists": lambda: pl.DataFrame({"embedding": X.tolist()}),
    "Polars Series of arrays": lambda: pl.Series("embedding", X),
    "Polars, a null": lambda: pl.DataFrame(X, schema=list(NAMES)).with_columns(
        pl.when(pl.int_range(60) == 7).then(None).otherwise(pl.col("c")).alias("c")
    ),
    "Polars, a column of text that is numbers": lambda: pl.DataFrame(X, schema=list(NAMES)).with_columns(
        pl.col("e").cast(pl.String)
    ),
    "Arrow table": arrow,
    "Arrow table, columns in another order": lambda: arrow().select(list("edcba")),
    "Arrow record batch": lambda: arrow().to_batches()[0],
    "Arrow record batch reader": lambda: arrow().to_reader(),
    "Arrow table, one column of lists": lambda: pa.table({"embedding": lists()}),
    "Arrow table, a column of run ends": lambda: arrow().set_column(4, "e", pc.run_end_encode(arrow()["e"])),
    "Arrow dataset": lambda: pyarrow.dataset.dataset(arrow()),
    "Arrow array of fixed-size lists": fixed,
    "Arrow table, a null list": lambda: pa.table({"embedding": lists(missing=True)}),
    "Arrow table, a column of decimals": lambda: arrow().set_column(4, "e", arrow()["e"].cast(pa.decimal128(9, 2))),
    "object with `__arrow_c_stream__`": Capsule,
}
