"""Files that hold the rows `X` [60, 5], and some that nearly do, by the words of docs/inputs.md; and pipes."""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import scipy.sparse
from input_objects import NAMES, X, arrow, fixed, frame, frame_with, lists

Write = Callable[[Path], Path | None]


def text(header: str | None = "a,b,c,d,e", rows: np.ndarray = X) -> str:
    """The rows as csv, with fractions that keep decimal commas apart from delimiters."""
    lines = [",".join(f"{value:.1f}" for value in row) for row in rows]
    return "\n".join([header, *lines] if header is not None else lines) + "\n"


def file(name: str, content: str | bytes) -> Write:
    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def npy(rows: Any, name: str = "x.npy") -> Write:
    stream = io.BytesIO()
    np.save(stream, rows, allow_pickle=True)
    return file(name, stream.getvalue())


def npz(save: Callable[..., None] = np.savez, **arrays: np.ndarray) -> Write:
    stream = io.BytesIO()
    save(stream, **arrays)
    return file("x.npz", stream.getvalue())


def made(name: str, write: Callable[[Path], Any]) -> Write:
    def call(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return call


def parquet(table: pa.Table | pd.DataFrame) -> Write:
    if isinstance(table, pd.DataFrame):
        return made("x.parquet", table.to_parquet)
    return made("x.parquet", partial(pyarrow.parquet.write_table, table))


def ipc(open_file: Callable[..., Any]) -> Write:
    def write(path: Path) -> None:
        with open_file(str(path), arrow().schema) as writer:
            writer.write_table(arrow())

    return made("x.arrow", write)


def records(keys: str = "abcde", **more: Any) -> str:
    return "".join(json.dumps(more | {key: float(row[NAMES.index(key)]) for key in keys}) + "\n" for row in X)


def vectors(**more: Any) -> str:
    return "".join(json.dumps(more | {"embedding": row.tolist()}) + "\n" for row in X)


def folder_of(*files: Write, pattern: str = "") -> Write:
    def write(folder: Path) -> Path:
        for one in files:
            one(folder)
        return folder / pattern if pattern else folder

    return write


def safetensors(folder: Path) -> Path:
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    save_file({"x": torch.from_numpy(X)}, folder / "x.safetensors")
    return folder / "x.safetensors"


def changed(line: int, content: str) -> str:
    lines = text().splitlines()
    lines[line] = content
    return "\n".join(lines) + "\n"


def indexed(first: str) -> str:
    lines = text().splitlines()
    return "\n".join([f"{first},{lines[0]}", *(f"{number},{line}" for number, line in enumerate(lines[1:]))]) + "\n"


SEMICOLONS = text().replace(",", ";")
FILES: dict[str, Write] = {
    ".npy": npy(X),
    ".npy, float64": npy(X.astype("f8")),
    ".npy, int16": npy(X.astype("i2")),
    ".npy, bool": npy(X > 0),
    ".npy in Fortran order": npy(np.asfortranarray(X)),
    ".npy, big-endian": npy(X.astype(">f8")),
    ".npy of pickled objects": npy(X.astype(object)),
    ".npy with named fields": npy(np.array([tuple(row) for row in X.tolist()], [(name, "f4") for name in NAMES])),
    ".npy of one dimension": npy(X[0]),
    ".npy of no rows": npy(X[:0]),
    ".npy of another width": npy(X[:, :4]),
    ".npy, cut short": file("x.npy", b"\x93NUMPY\x01\x00v\x00"),
    ".npy.gz": lambda folder: file("x.npy.gz", gzip.compress(npy(X)(folder).read_bytes()))(folder),  # type: ignore[union-attr]
    ".npz with one array": npz(x=X),
    ".npz, compressed": npz(np.savez_compressed, x=X),
    ".npz in Fortran order": npz(x=np.asfortranarray(X)),
    ".npz with two tables, one called x": npz(x=X, y=X),
    ".npz with two other tables": npz(u=X, v=X),
    ".npz of scipy.sparse": made("x.npz", lambda path: scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(X))),
    ".safetensors": safetensors,
    ".csv with a header": file("x.csv", text()),
    ".csv without a header": file("x.csv", text(None)),
    ".csv, columns in another order": file("x.csv", text("e,d,c,b,a", X[:, ::-1])),
    ".csv, a header of counted numbers": file("x.csv", text("0,1,2,3,4")),
    ".csv, a header of other numbers": file("x.csv", text("400.5,401.0,401.5,402.0,402.5")),
    ".csv with a byte order mark": file("x.csv", "\ufeff" + text()),
    ".csv in UTF-16": file("x.csv", text().encode("utf-16")),
    ".csv in Latin-1": file("x.csv", text("a,b,c,d,é").encode("latin-1")),
    ".csv with vertical bars": file("x.csv", text().replace(",", "|")),
    ".csv with spaces": file("x.csv", text().replace(",", " ")),
    ".csv, a header of distinct integers": file("x.csv", text("101,205,333,404,17")),
    ".csv, a header of numbers far from the values": file("x.csv", text("10,250,900,1200,5000")),
    ".csv, the first row lacks a value, no header": file("x.csv", text(None).replace("6.0", "NA", 1)),
    ".csv, names in a comment, in another order": file("x.csv", "# e,d,c,b,a\n" + text(None, X[:, ::-1])),
    ".csv with Windows line ends": file("x.csv", text().replace("\n", "\r\n")),
    ".csv with comments": file("x.csv", "# units: mV\n" + text()),
    ".csv with semicolons": file("x.csv", SEMICOLONS),
    ".csv with semicolons and decimal commas": file("x.csv", SEMICOLONS.replace(".", ",")),
    ".csv with semicolons and thousands": file("x.csv", "a;b;c;d;e\n" + "1,234;5,678;9,012;3,456;7,890\n" * 20),
    ".csv with decimal commas, then a decimal point": file(
        "x.csv", SEMICOLONS.replace(".", ",") + "1.234;1,0;1,0;1,0;1,0\n" + "1,0;1,0;1,0;1,0;1,0\n"
    ),
    ".csv, a second line of units": file("x.csv", text("a,b,c,d,e\nmV,mV,s,s,s")),
    ".tsv with commas": file("x.tsv", text()),
    ".tsv": file("x.tsv", text().replace(",", "\t")),
    ".csv.gz": file("x.csv.gz", gzip.compress(text().encode())),
    ".csv.bz2": file("x.csv.bz2", bz2.compress(text().encode())),
    ".csv.xz": file("x.csv.xz", lzma.compress(text().encode())),
    ".csv.zst": file("x.csv.zst", pa.compress(text().encode(), "zstd", asbytes=True)),
    ".csv with an index of pandas": file("x.csv", indexed("")),
    ".csv with an index saved twice, `Unnamed: 0`": file("x.csv", indexed("Unnamed: 0")),
    ".csv, a column of text": file("x.csv", text().replace("\n", ",Rome\n").replace("e,Rome", "e,city", 1)),
    ".csv, a column of dates": file("x.csv", text().replace("\n", ",2026-01-01\n").replace("e,2026-01-01", "e,day", 1)),
    ".csv, two columns of equal name": file("x.csv", text("a,b,c,d,a")),
    ".csv, a column is missing": file("x.csv", text("a,b,c,d", X[:, :4])),
    ".csv, a column more": file("x.csv", text().replace("\n", ",1\n").replace("e,1", "e,f", 1)),
    ".csv, an empty field": file("x.csv", changed(8, "1,2,,4,5")),
    ".csv, NA": file("x.csv", changed(8, "1,2,NA,4,5")),
    ".csv, #N/A in the first column": file("x.csv", changed(8, "#N/A,2,3,4,5")),
    ".csv, 1_000": file("x.csv", changed(8, "1_000,2,3,4,5")),
    ".csv, a dash": file("x.csv", changed(8, "-,2,3,4,5")),
    ".csv, inf": file("x.csv", changed(8, "1,2,inf,4,5")),
    ".csv, 1e39": file("x.csv", changed(8, "1,2,1e39,4,5")),
    ".csv, a line of another length": file("x.csv", changed(8, "1,2,3,4")),
    ".csv, empty": file("x.csv", ""),
    ".csv, a header alone": file("x.csv", "a,b,c,d,e\n"),
    ".jsonl, an array a line": file("x.jsonl", "".join(json.dumps(row) + "\n" for row in X.tolist())),
    ".jsonl, records": file("x.jsonl", records()),
    ".jsonl, records with keys in another order": file("x.jsonl", records("cadbe")),
    ".jsonl, records with a key of text": file("x.jsonl", records(city="Rome")),
    ".jsonl, records with numbers as text": file("x.jsonl", records().replace('"e": ', '"e": "').replace("}", '"}')),
    ".jsonl, a later record with a key more": file("x.jsonl", records() + records(f=1.0)),
    ".jsonl, records with one vector": file("x.jsonl", vectors()),
    ".jsonl, records with a vector and text": file("x.jsonl", vectors(id="q", tags=["u"])),
    ".jsonl, records with a key twice": file("x.jsonl", records().replace("}", ', "a": 9}')),
    ".jsonl with NaN": file("x.jsonl", "[1, 2, NaN, 4, 5]\n"),
    ".json": file("x.json", json.dumps(X.tolist())),
    ".parquet": parquet(arrow()),
    ".parquet, columns in another order": parquet(arrow().select(list("edcba"))),
    ".parquet with an index of pandas": parquet(
        frame(index=range(5, 65)).iloc[np.random.default_rng(1).permutation(60)].sort_index()
    ),
    ".parquet with an index named by pandas": parquet(frame(index=pd.Index([f"r{k}" for k in range(60)], name="key"))),
    ".parquet with a feature as the index of pandas": parquet(frame().set_index("a")),
    ".parquet, names in another case": parquet(arrow().rename_columns(list("ABCDE"))),
    ".parquet, a column of lists": parquet(pa.table({"embedding": lists()})),
    ".parquet, a column of fixed-size lists": parquet(pa.table({"embedding": fixed()})),
    ".parquet, lists beside an id": parquet(pa.table({"id": list(range(60)), "embedding": lists()})),
    ".parquet, a null list": parquet(pa.table({"embedding": lists(missing=True)})),
    ".parquet, a null": parquet(arrow().set_column(2, "c", pa.array([None, *X[1:, 2].tolist()], pa.float32()))),
    ".parquet, a column of text": parquet(frame_with(city="Rome")),
    ".parquet, a column of text that is numbers": parquet(frame_with(e=X[:, 4].astype(str))),
    ".parquet, a column of dates": parquet(frame_with(day=pd.Timestamp("2026-01-01"))),
    ".parquet, a column of bool": parquet(frame_with(ok=X[:, 0] > 0)),
    ".parquet, dictionary-encoded numbers": parquet(arrow().set_column(4, "e", arrow()["e"].dictionary_encode())),
    ".parquet of Polars": made("x.parquet", pl.DataFrame(X, schema=list(NAMES)).write_parquet),
    ".feather": made("x.feather", lambda path: pyarrow.feather.write_feather(arrow(), str(path))),
    ".feather, version 1": file("x.feather", b"FEA1" + bytes(40) + b"FEA1"),
    ".arrow, IPC file": ipc(pa.ipc.new_file),
    ".arrow, IPC stream": ipc(pa.ipc.new_stream),
    "a folder of shards, x-2 before x-10": folder_of(npy(X[:20], "x-2.npy"), npy(X[20:], "x-10.npy")),
    "a folder of shards, one with columns in another order": folder_of(
        file("1.csv", text(rows=X[:20])), file("2.csv", text("e,d,c,b,a", X[20:, ::-1]))
    ),
    "a folder of shards, one of other columns": folder_of(file("1.csv", text()), file("2.csv", text("a,b,c,d,z"))),
    "a folder of shards, one a header alone": folder_of(file("1.csv", text()), file("2.csv", "e,d,c,b,a\n")),
    "a folder of partitions, part=1/, part=2/": folder_of(npy(X[:20], "part=1/x.npy"), npy(X[20:], "part=2/x.npy")),
    "a folder of partitions, whose files have columns": folder_of(
        file("year=2023/1.csv", text(rows=X[:20])), file("year=2024/2.csv", text(rows=X[20:]))
    ),
    "a folder with files below _temporary/": folder_of(npy(X, "x.npy"), npy(X, "_temporary/x.npy")),
    "a folder with one table in two formats": folder_of(npy(X, "x.npy"), file("x.csv", text(None))),
    "a folder with brackets in its name": folder_of(npy(X, "data [v2]/x.npy"), pattern="data [v2]"),
    "a pattern below a folder with brackets": folder_of(npy(X, "data [v2]/x.npy"), pattern="data [v2]/*.npy"),
    "a pattern": folder_of(npy(X[:20], "x-2.npy"), npy(X[20:], "x-10.npy"), pattern="x-*.npy"),
    "a folder without feature files": folder_of(file("notes.txt", "none")),
    "a file that is not there": folder_of(pattern="x.npy"),
    ".xlsx": file("x.xlsx", b"PK"),
    ".csv in a .zip": file("x.csv.zip", b"PK"),
    ".pkl": file("x.pkl", b"\x80"),
    ".txt": file("x.txt", text()),
}


def bytes_of(rows: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, rows)
    return stream.getvalue()


# Arguments of the verb after the bundle, and what is piped into it.
STREAMS: dict[str, tuple[tuple[str, ...], Callable[[], bytes]]] = {
    "`- --format csv`, to `-o -`": (("encode", "-", "--format", "csv", "-o", "-"), lambda: text().encode()),
    "`- --format npy`": (("encode", "-", "--format", "npy", "-o", "-"), lambda: bytes_of(X)),
    "`-` without `--format`": (("encode", "-", "-o", "z.npy"), lambda: bytes_of(X)),
    "`- --format csv`, nothing piped": (("encode", "-", "--format", "csv", "-o", "-"), lambda: b""),
    "`-o /dev/stdout`": (("encode", "-", "--format", "csv", "-o", "/dev/stdout"), lambda: text().encode()),
}
