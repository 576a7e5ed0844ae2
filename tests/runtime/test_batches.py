"""BatchEncoder over every kind of batch: the same kind back, and the bits of `VAE`."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aaptvae
from aaptvae import BundleError, InputError
from aaptvae.batches import BatchEncoder

KINDS = ["table", "record batch", "dict", "dict of objects", "pandas", "polars"]
IDS = [f"row {number}" for number in range(300)]


def batch(kind: str, x: np.ndarray) -> Any:
    """Ids and vectors."""
    ids = IDS[: len(x)]
    if kind.startswith("dict"):
        return {"id": np.array(ids), "x": x if kind == "dict" else _objects(x)}
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame({"id": ids, "x": list(x)}, index=range(7, 7 + len(x)))
    if kind == "polars":
        return pytest.importorskip("polars").DataFrame({"id": ids, "x": x.tolist()}, schema_overrides=_lists())
    pa = pytest.importorskip("pyarrow")
    lists = pa.array(list(x), pa.list_(pa.float32()))
    table = pa.table({"id": pa.array(ids, pa.string()), "x": lists})
    return (
        table
        if kind == "table"
        else table.to_batches()[0]
        if len(x)
        else pa.RecordBatch.from_arrays([pa.array([], f.type) for f in table.schema], schema=table.schema)
    )


def _lists() -> Any:
    import polars  # noqa: PLC0415

    return {"id": polars.String, "x": polars.List(polars.Float32)}


def _objects(x: np.ndarray) -> np.ndarray:
    cells = np.empty(len(x), object)
    cells[:] = list(x)
    return cells


def column(made: Any, name: str) -> np.ndarray:
    """A column of a batch as numbers or strings."""
    values = made[name]
    method = next(method for method in ("tolist", "to_pylist", "to_list") if hasattr(values, method))
    return np.array(getattr(values, method)())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carry", ["bytes", "path"])
def test_latents_come_back_beside_kept_columns(kind: str, carry: Any, tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:
    encoder = pickle.loads(pickle.dumps(BatchEncoder(tiny, column="x", keep=["id"], carry=carry)))  # noqa: S301
    given = batch(kind, x)
    made = encoder(given)
    assert type(made) is type(given)
    assert np.array_equal(column(made, "mu").astype(np.float32), vae.embed(x))
    assert column(made, "id").tolist() == IDS
    assert list(made if isinstance(made, dict) else column_names(made)) == ["id", "mu"]
    if kind == "pandas":
        assert list(made.index) == list(given.index)


def column_names(made: Any) -> list[str]:
    return list(made.schema.names if hasattr(made, "schema") and not hasattr(made.schema, "keys") else made.columns)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_no_rows(kind: str, tiny: Path, x: np.ndarray) -> None:
    """Dask and Spark try a function on an empty batch."""
    made = BatchEncoder(tiny, column="x", keep="id")(batch(kind, x[:0]))
    assert len(column(made, "mu")) == len(column(made, "id")) == 0


@pytest.mark.parametrize("verb", ["embed", "encode", "reconstruct", "decode", "score"])
def test_every_verb_equals_the_python_api(verb: Any, tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:
    given = x[:, :2] if verb == "decode" else x
    made = BatchEncoder(tiny, verb, column="x")({"x": given})
    expected = getattr(vae, verb)(given)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(made) == len(expected)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(made.values(), expected, strict=True))


def test_columns_of_numbers_are_matched_by_name(named: Path, x: np.ndarray) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"id": range(300)} | {name: x[:, "abcde".index(name)] for name in "edcba"})
    expected = aaptvae.load(named).embed(x)
    for encoder in (BatchEncoder(named, keep="id"), BatchEncoder(named, column=list("badce"))):
        assert np.array_equal(encoder(frame)["mu"].to_numpy(), expected)
    with pytest.raises(InputError, match="unknown to the model"):
        BatchEncoder(named)(frame)


@pytest.mark.parametrize("kind", ["table", "batch"])
def test_columns_of_equal_name_are_refused(named: Path, x: np.ndarray, kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_arrays([*x.T, x[:, 0], x[:, 1]], names=[*"abcde", "id", "id"])
    batch = table if kind == "table" else table.to_batches()[0]
    with pytest.raises(InputError, match=r"the batch has columns of equal name \(id\)"):
        BatchEncoder(named, keep=["id"])(batch)
    assert len(BatchEncoder(named, column=list("abcde"))(batch).schema) == 1  # others are not looked at


def test_a_feature_may_be_kept(named: Path, x: np.ndarray) -> None:
    columns = {name: x[:, at] for at, name in enumerate("abcde")}
    made = BatchEncoder(named, keep=["a"])(columns)
    assert [*made] == ["a", "mu"] and np.array_equal(made["mu"], aaptvae.load(named).embed(x))


def test_missing_values_are_filled_as_the_bundle_says(filling: Path, x: np.ndarray) -> None:
    x = x.copy()
    x[3, 2] = np.nan
    made = BatchEncoder(filling)({name: x[:, at] for at, name in enumerate("abcde")})
    assert np.array_equal(made["mu"], aaptvae.load(filling).embed(x))


def test_one_column_gives_one_column(tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:
    pa, polars, pandas = (pytest.importorskip(name) for name in ("pyarrow", "polars", "pandas"))
    encoder, expected = BatchEncoder(tiny), vae.embed(x)
    assert np.array_equal(encoder(x), expected)
    assert np.array_equal(encoder(polars.Series("x", x)).to_numpy(), expected)
    arrow = encoder(pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 5))
    assert arrow.type == pa.list_(pa.float32(), 2) and np.array_equal(arrow.flatten(), expected.ravel())
    series = encoder(pandas.Series(list(x), index=range(5, 305), name="x"))
    assert np.array_equal(np.stack(series), expected) and series.index[0] == 5 and series.name == "x"
    with pytest.raises(InputError, match="score gives reconstruction_error, kl_divergence, elbo, p_value"):
        BatchEncoder(tiny, "score")(x)


def test_bytes_travel_where_the_folder_does_not_exist(tiny: Path, tmp_path: Path) -> None:
    """In another process; a path is refused there, and also where another bundle has its place."""
    shutil.copytree(tiny, tmp_path / "bundle")
    for carry in ("bytes", "path"):
        (tmp_path / carry).write_bytes(pickle.dumps(BatchEncoder(tmp_path / "bundle", carry=carry)))
    shutil.rmtree(tmp_path / "bundle")
    code = "import pickle, sys, numpy; print(pickle.load(open(sys.argv[1], 'rb'))(numpy.zeros((3, 5))).shape)"
    for carry, output in (("bytes", "(3, 2)\n"), ("path", "")):
        done = subprocess.run([sys.executable, "-c", code, tmp_path / carry], capture_output=True, text=True, check=False)
        assert done.stdout == output, done.stderr
    assert "BundleError: cannot read" in done.stderr


def test_an_open_zip_is_read_once(tiny: Path, tmp_path: Path, x: np.ndarray, vae: aaptvae.VAE) -> None:
    shutil.make_archive(str(tmp_path / "tiny"), "zip", tiny)
    with (tmp_path / "tiny.zip").open("rb") as opened:
        encoder = BatchEncoder(opened)
    assert np.array_equal(encoder(x), vae.embed(x))


def test_wrong_options_and_batches_are_refused(tiny: Path, x: np.ndarray) -> None:
    for options, words in (
        ({"verb": "sample"}, "verb is 'sample': expected embed, metric"),
        ({"carry": "link"}, "carry is 'link'"),
        ({"threads": 0}, "threads is 0"),
        ({"keep": "mu"}, "keep names mu, which embed makes itself"),
        ({"keep": ["id", "id"]}, "keep has id more than once"),
        ({"keep": 5}, "keep is 5: expected the name of a column, or a list of names"),
        ({"column": 0}, "column is 0: expected the name of a column, or a list of names"),
        ({"verb": "metric"}, "verb is 'metric': this bundle has the view mu: choose embed"),
    ):
        with pytest.raises(InputError, match=words):
            BatchEncoder(tiny, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the batch has no column y: it has x"):
        BatchEncoder(tiny, column="y")({"x": x})
    with pytest.raises(InputError, match="the batch has no column x: it has none"):
        BatchEncoder(tiny, column="x")({})
    with pytest.raises(BundleError, match="cannot read"):
        BatchEncoder("nowhere")


def test_a_dict_of_uneven_columns_is_refused(named: Path, x: np.ndarray) -> None:
    """Ids that do not line up with the rows go nowhere."""
    columns = dict(zip("abcde", x.T, strict=True))
    encode = BatchEncoder(named, keep="id")
    with pytest.raises(InputError, match=r"columns of several lengths \(a 300, .*, id 5\)"):
        encode({**columns, "id": np.arange(5)})
    with pytest.raises(InputError, match=r"a of the batch is one value: .* pass a list of it"):
        encode({name: column[0] for name, column in columns.items()} | {"id": 3})
    with pytest.raises(InputError, match=r"has the column more, unknown to the model: .*keep=\[...\]"):
        encode({**columns, "id": np.arange(300), "more": x[:, 0]})


def test_batches_that_are_not_computed_are_refused(named: Path, x: np.ndarray) -> None:
    polars, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    table = pa.table(dict(zip("abcde", x.T, strict=True)))
    for batch in (polars.from_arrow(table).lazy(), table.to_reader(), None, iter([x])):
        with pytest.raises(InputError, match=r"the batch is a \w+: expected an Arrow table .*one by one"):
            BatchEncoder(named)(batch)


@pytest.mark.parametrize(("told", "expected"), [("1", 1), ("100000", None), ("", None), ("4,2", None), ("0", 1)])
def test_threads_are_the_cpus_of_the_task(told: str, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from aaptvae.batches import _own_cpus  # noqa: PLC0415
    from aaptvae.engine import usable_cpus  # noqa: PLC0415

    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert _own_cpus() == (expected or usable_cpus())
