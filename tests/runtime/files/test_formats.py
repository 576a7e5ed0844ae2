"""Every format gives back the rows that went in, streams, and refuses what is no table of numbers."""

import io
import itertools
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aaptvae.errors import InputError, MissingDependencyError
from aaptvae.files import Layout, open_output, open_rows

FORMATS = ["npy", "npz", "csv", "jsonl", "parquet"]


@pytest.fixture(autouse=True)
def _parquet_is_an_extra(request: pytest.FixtureRequest) -> None:
    if "parquet" in request.node.name:
        pytest.importorskip("pyarrow")


def read(path: Path, size: int = 64, start: int = 0, **options: Any) -> np.ndarray:
    with open_rows(path, **options) as reader:
        return np.concatenate([np.empty((0, reader.width)), *reader.batches(size, start)])


def write(path: Path, x: np.ndarray, **facts: Any) -> Path:
    layout = Layout(width=x.shape[1], dtype=x.dtype, **facts)
    with open_output(path, layout, force=True) as writer:
        for start in range(0, len(x), 100):
            writer.write(x[start : start + 100])
    return path


@pytest.mark.parametrize("rows", [None, 300])
@pytest.mark.parametrize("format", FORMATS)
def test_rows_come_back_exactly(tmp_path: Path, x: np.ndarray, format: str, rows: int | None) -> None:
    path = write(tmp_path / f"x.{format}", x, rows=rows)
    for size, start in itertools.product((1, 7, 300, 1000), (0, 1, 299, 300)):
        assert np.array_equal(read(path, size, start).astype(np.float32), x[start:])
    with open_rows(path) as reader:
        assert [len(batch) for batch in reader.batches(128)] == [128, 128, 44]
        assert [len(batch) for batch in reader.batches(128)] == [128, 128, 44]  # a file can be read again
        assert reader.rows in (None, 300)


@pytest.mark.parametrize("format", FORMATS)
def test_zero_rows_are_valid_except_in_text(tmp_path: Path, format: str) -> None:
    path = write(tmp_path / f"x.{format}", np.empty((0, 5), np.float32))
    if format in ("csv", "jsonl"):
        with pytest.raises(InputError, match="holds no rows"):
            open_rows(path)
    else:
        assert read(path).shape == (0, 5)


def test_npy_output_equals_np_save_byte_for_byte(tmp_path: Path, x: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", x)
    assert write(tmp_path / "b.npy", x).read_bytes() == (tmp_path / "a.npy").read_bytes()
    assert write(tmp_path / "c.npy", x, rows=7).read_bytes() == (tmp_path / "a.npy").read_bytes()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i2", "u4", "i8", ">f4", ">i2"])
def test_npy_takes_real_numbers_of_every_kind(tmp_path: Path, dtype: str) -> None:
    x = np.arange(20).reshape(4, 5).astype(dtype)
    for name, array in {"c": x, "fortran": np.asfortranarray(x), "version2": x}.items():
        with (tmp_path / f"{name}.npy").open("wb") as file:
            np.lib.format.write_array(file, array, (2, 0) if name == "version2" else None)
        with open_rows(tmp_path / f"{name}.npy") as reader:
            assert np.array_equal(np.concatenate(list(reader.batches(3))), x)
            assert reader.dtype.isnative


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def forged(shape: str, descr: str = "'<f4'", fortran: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


HOSTILE_NPY = {
    "not an .npy file": [b"", b"\x93NUMPY", b"PK\x03\x04", b"\x93NUMPY\x09\x00" + bytes(99), b"1,2\n"],
    "damaged .npy header": [
        b"\x93NUMPY\x01\x00\xff\x00{}",
        forged("(4, 4)", fortran="__import__('os')"),
        forged("(-4, -4)"),
        forged("(1e9, 4)"),
        forged("(" * 4000),
        forged("(4, " + "9" * 5000 + ")"),
    ],
    "structured array with named fields": [npy(np.zeros(3, "f4,i4"))],
    "header of 4294967295 bytes": [b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(99)],
    "its header declares": [
        forged("(4, 5)"),
        forged("(3, 4)"),
        forged("(999999999999999999, 1)"),
        forged("(922337203685477, 1048576)"),
        npy(np.zeros((3, 4)))[:-1],
        npy(np.zeros((3, 4))) + b"x",
    ],
    "expected \\[rows, columns\\]": [npy(np.zeros(4)), npy(np.zeros((2, 2, 2))), npy(np.float32(3))],
    "expected 1 to 1048576 columns": [npy(np.zeros((4, 0))), forged("(0, 1048577)")],
    "pickled Python objects, which are never loaded": [npy(np.array([[1, None]])), forged("(4, 4)", "'|O'")],
    r"convert 0/1 columns with .astype\(np.float32\)": [npy(np.zeros((2, 2), bool))],
    "features are real numbers": [npy(np.zeros((2, 2), kind)) for kind in ("c16", "U1", "M8[s]", "g")]
    + [forged("(4, 4)", "'<f3'")],
}


@pytest.mark.parametrize(("message", "data"), [(m, d) for m, files in HOSTILE_NPY.items() for d in files])
def test_a_hostile_npy_is_refused_with_its_reason(tmp_path: Path, message: str, data: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(InputError, match=message):
        open_rows(tmp_path / "x.npy")


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def test_npz_gives_its_only_table_or_x(tmp_path: Path, x: np.ndarray) -> None:
    (tmp_path / "x.npz").write_bytes(npz(features=npy(x)))
    assert np.array_equal(read(tmp_path / "x.npz"), x)
    (tmp_path / "x.npz").write_bytes(npz(y=npy(x[:3]), x=npy(x)))
    assert np.array_equal(read(tmp_path / "x.npz"), x)
    (tmp_path / "x.npz").write_bytes(npz(a=npy(x), b=npy(x)))
    with pytest.raises(InputError, match="or one called x; it holds 2: 'a', 'b'"):
        open_rows(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04nothing",
        npz(),
        npz(a=forged("(4, 5)")),
        npz(a=b"text"),
        npz(x=npy(np.zeros((50, 50))))[:-9],
        npz(x=npy(np.array([[None]]))),
    ],
)
def test_a_hostile_npz_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(InputError):
        open_rows(tmp_path / "x.npz")


def tensors(header: bytes, body: bytes = bytes(48), length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + body


GOOD = (
    b'{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]},'
    b'"ids":{"dtype":"I64","shape":[0],"data_offsets":[0,0]}}'
)


def test_safetensors_gives_its_only_table(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(tensors(GOOD, np.arange(12, dtype="<f4").tobytes()))
    assert np.array_equal(read(tmp_path / "x.safetensors"), np.arange(12).reshape(3, 4))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(8),
        tensors(GOOD, length=1 << 62),
        tensors(GOOD, length=(1 << 64) - 1),
        tensors(GOOD, b""),
        tensors(GOOD.replace(b"[0,48]", b"[0,49]")),
        tensors(GOOD.replace(b"[0,48]", b"[-48,0]")),
        tensors(GOOD.replace(b"[0,48]", b"[48,96]")),
        tensors(GOOD.replace(b"[3,4]", b"[281474976710656,281474976710656]")),
        tensors(GOOD.replace(b"[3,4]", b"[-3,-4]")),
        tensors(GOOD.replace(b"F32", b"BOOL")),
        tensors(b"{" * 5000),
        tensors(b'{"x":' * 9999),
        tensors(b"\xff\xfe{}"),
        tensors(GOOD.replace(b"[3,4]", b"[12]")),
        tensors(b"{}"),
        tensors(GOOD.replace(b'"F32"', b"null")),
        tensors(GOOD[:-2]),
    ],
)
def test_a_hostile_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(InputError):
        open_rows(tmp_path / "x.safetensors")


def test_a_file_that_shrinks_is_refused(tmp_path: Path, x: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", x)
    with open_rows(tmp_path / "x.npy") as reader:
        batches = reader.batches(100)
        next(batches)
        with (tmp_path / "x.npy").open("r+b") as file:
            file.truncate(2500)
        with pytest.raises(InputError, match="ends near row 100: its header says 300"):
            list(batches)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.npy", "No such file or directory"),
        ("x.txt", "no known format: expected npy"),
        ("", "holds no feature files"),
        ("*.npy", "holds no feature files"),
        ("nul\0.npy", "null byte"),
        ("-", "- has no suffix: name its format with --format"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_rows(name if name == "-" else tmp_path / name)


def test_a_wrong_width_is_refused_before_reading(tmp_path: Path, x: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(InputError, match=r"x.npy has 5 columns: expected 64: pass the features"):
        open_rows(tmp_path / "x.npy", width=64)


def test_folders_and_patterns_are_read_as_one_table(tmp_path: Path, x: np.ndarray) -> None:
    for index, format in enumerate(("npy", "csv", "npz")):
        write(tmp_path / f"{index}.{format}", x[index * 100 : index * 100 + 100])
    (tmp_path / "README.md").touch()
    assert np.array_equal(read(tmp_path, 77, 50).astype(np.float32), x[50:])
    assert np.array_equal(read(tmp_path / "*.np[yz]"), np.concatenate([x[:100], x[200:]]))
    np.save(tmp_path / "3.npy", x[:, :4])
    with pytest.raises(InputError, match=r"3.npy has 4 columns: expected 5"):
        open_rows(tmp_path)


def test_a_file_without_suffix_is_what_format_says(tmp_path: Path, x: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.npy").rename(tmp_path / "x")
    assert np.array_equal(read(tmp_path / "x", format="npy"), x)


def test_parquet_takes_lists_and_columns(tmp_path: Path, x: np.ndarray) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    def table(**columns: Any) -> Path:
        pq.write_table(pa.table(columns), tmp_path / "x.parquet", row_group_size=37)
        return tmp_path / "x.parquet"

    assert np.array_equal(read(table(embedding=x.tolist())), x)
    assert np.array_equal(read(table(**{f"c{i}": x[:, i] for i in range(5)}), 50, 60), x[60:])
    assert np.isnan(read(table(a=[1.0, None], b=[1, 2]))[1, 0])
    for columns, message in [
        ({"a": ["text"]}, "are no numbers: a"),
        ({"a": [[1.0], [1.0, 2.0]]}, "not of length 1"),
        ({"a": [True]}, "are no numbers: a"),
        ({"a": [[1.0], None]}, "nulls"),
    ]:
        with pytest.raises(InputError, match=message):
            read(table(**columns))
    data = (tmp_path / "x.parquet").read_bytes()
    for broken in (b"", data[:-4], data[: len(data) // 2], b"PAR1" + bytes(50) + b"PAR1"):
        (tmp_path / "x.parquet").write_bytes(broken)
        with pytest.raises(InputError, match=r"not a readable .parquet file"):
            read(tmp_path / "x.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    path = write(tmp_path / "x.parquet", np.ones((2, 2)))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install pyarrow"):
        open_rows(path)


@pytest.mark.parametrize("format", FORMATS)
def test_named_columns_stay_named(tmp_path: Path, format: str) -> None:
    path = write(tmp_path / f"x.{format}", np.array([[1.5, 2.5]]), columns=("a", "b"))
    expected: dict[str, Callable[[], bool]] = {
        "csv": lambda: path.read_text() == "a,b\n1.5,2.5\n",
        "jsonl": lambda: path.read_text() == '{"a":1.5,"b":2.5}\n',
    }
    if format == "parquet":
        assert pytest.importorskip("pyarrow.parquet").read_schema(path).names == ["a", "b"]
    assert expected.get(format, lambda: bool((read(path) == [[1.5, 2.5]]).all()))()


def test_bad_lines_of_shards_are_listed_or_skipped(tmp_path: Path) -> None:
    """The message has the file and the line, as for one file."""
    for number, rows in enumerate(("1,2\n3,4\n", "5,6\nNaN,7\n8,9,10\n11,12\n")):
        (tmp_path / f"{number}.csv").write_text("a,b\n" + rows)
    with (
        pytest.raises(InputError, match=r"1\.csv line 3 has nan in column a"),
        open_rows(tmp_path, width=2, expected=("a", "b")) as reader,
    ):
        list(reader.batches(9))
    with open_rows(tmp_path, width=2, expected=("a", "b"), skip_bad=True) as reader:
        assert np.concatenate(list(reader.batches(9))).tolist() == [[1, 2], [3, 4], [5, 6], [11, 12]]
        problems = [line for batch in reader.labelled(9) if batch.problems is not None for line in batch.problems if line]
        assert [line.split(" ", 1)[0][-5:] + line.split(" ")[2] for line in problems] == ["1.csv3", "1.csv4"]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_columns_of_missing_values_alone_are_numbers(tmp_path: Path, suffix: str) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet  # noqa: PLC0415

    table = pa.table({"a": [1.0, 2.0], "b": pa.nulls(2), "c": [True, None]})
    path = str(tmp_path / f"x.{suffix}")
    feather.write_feather(table, path) if suffix == "arrow" else parquet.write_table(table, path)
    with open_rows(path, columns=("a", "b", "c"), missing=True) as reader:
        assert np.array_equal(next(reader.batches(9)), [[1, np.nan, 1], [2, np.nan, np.nan]], equal_nan=True)


def test_lists_that_pass_through_to_csv_are_json(tmp_path: Path) -> None:
    with open_output(tmp_path / "x.csv", Layout(width=1, columns=("a",), ids=("k",))) as writer:
        writer.write(np.ones((2, 1), np.float32), [np.fromiter([["u"], {"v": None}], object, 2)])
    assert (tmp_path / "x.csv").read_text() == 'k,a\n"[""u""]",1\n"{""v"":null}",1\n'
