"""From a path, `-`, a folder or a pattern to a reader or a writer: suffixes, streams and shards."""

import contextlib
import dataclasses
import glob
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..rows import Array
from .binary import NpyWriter, NpzWriter, open_npy, open_npz, open_safetensors
from .parquet import ParquetRows, ParquetWriter
from .publish import publish_file
from .settling import SettlingFile
from .table import RowReader, RowWriter, rebatch
from .text import TextRows, TextWriter

FORMATS = ("npy", "npz", "csv", "jsonl", "parquet", "safetensors")
STREAMED = ("npy", "csv", "jsonl")
STDIN, STDOUT = 0, 1
MAX_HELD = 1 << 30  # bytes of a piped file that must be held in memory, because its format needs seeking


def open_rows(
    path: str | os.PathLike[str], *, format: str | None = None, width: int | None = None, skip_bad: bool = False
) -> RowReader:
    """Open a feature file, `-` (stdin), a folder of files or a pattern such as `x-*.npy`.

    `format` says what `-` or a file without a known suffix is; `width` is checked where given; `skip_bad` passes
    over bad lines of text and lists them in `.bad`.
    Raises `InputError`; `MissingDependencyError` for .parquet without pyarrow.
    """
    text = os.fspath(path)
    shards = None if text == "-" else _shards(Path(text))
    reader = _open_one(text, format, width, skip_bad) if shards is None else ShardedRows(text, shards, format)
    if width is not None and reader.width != width:
        reader.close()
        raise InputError(
            f"{reader.name} has {reader.width} columns: expected {width}: pass rows of the kind that the model was trained on"
        )
    return reader


def _open_one(path: str, format: str | None, width: int | None = None, skip_bad: bool = False) -> RowReader:
    format = file_format(path, format, FORMATS)
    name = "stdin" if path == "-" else path
    if skip_bad and format not in ("csv", "jsonl"):
        raise InputError(f"{name} is {format}: --on-bad-row skip is for csv and jsonl, where a row is a line")
    stream, size = _stdin(format) if path == "-" else _file(path)
    try:
        if size is None and format not in STREAMED:
            stream, size = _held(name, stream)
        if format in ("csv", "jsonl"):
            reader: RowReader = TextRows(name, stream, format, width, skip_bad)
        elif format == "npy":
            reader = open_npy(name, stream, size)
        elif format == "safetensors":
            reader = open_safetensors(name, stream, size or 0)
        else:
            reader = open_npz(name, stream) if format == "npz" else ParquetRows(name, stream)
    except BaseException:
        stream.close()
        raise
    reader.stream = stream
    return reader


def file_format(path: str, format: str | None, known: tuple[str, ...]) -> str:
    """What the suffix of `path` says, else `format`; `InputError` if it is not one of `known`."""
    suffix = Path(path).suffix.lower().removeprefix(".")
    found = {"ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
    found = found if found in FORMATS else format or found
    if path == "-" and format is None:
        raise InputError(f"- has no suffix: say what it is with --format ({', '.join(known)})")
    if found not in known:
        raise InputError(f"{path} is of no known format: expected {', '.join(known)} as suffix or --format")
    return found


def _file(path: str) -> tuple[IO[bytes], int | None]:
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - the reader closes it
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    facts = os.fstat(stream.fileno())
    return stream, facts.st_size if stat.S_ISREG(facts.st_mode) else None


def _stdin(format: str) -> tuple[IO[bytes], int | None]:
    if os.isatty(STDIN):
        raise InputError(f"stdin is a terminal: pipe {format} data into it, or name a file")
    # Not sys.stdin.buffer: a thread that waits in it would hold up the interpreter's exit.
    return open(STDIN, "rb", closefd=False), None


def _held(name: str, stream: IO[bytes]) -> tuple[IO[bytes], int]:
    data = stream.read(MAX_HELD + 1)
    stream.close()
    if len(data) > MAX_HELD:
        raise InputError(f"{name} is larger than {MAX_HELD >> 30} GiB and its format cannot be streamed: give a file")
    return io.BytesIO(data), len(data)


def _shards(path: Path) -> list[str] | None:
    if path.is_dir():
        found = [entry for entry in path.iterdir() if entry.suffix[1:].lower() in FORMATS and entry.name[0] != "."]
    elif not path.exists() and glob.has_magic(str(path)):
        found = [Path(name) for name in glob.glob(str(path))]  # noqa: PTH207 - the pattern may be absolute
    else:
        return None
    if not found:
        raise InputError(f"{path} holds no feature files: expected {', '.join('.' + name for name in FORMATS)}")
    return sorted(map(str, found))


class ShardedRows(RowReader):
    """Many files of one width, in the order of their names."""

    def __init__(self, name: str, paths: list[str], format: str | None) -> None:
        self.name, self.paths, self._format = name, paths, format
        facts = []
        for path in paths:  # one at a time: there may be more than may be open
            with _open_one(path, format, None, False) as reader:
                facts.append((reader.width, reader.rows, reader.dtype))
            if reader.width != facts[0][0]:
                raise InputError(f"{reader.name} has {reader.width} columns: the others have {facts[0][0]}")
        _, counts, dtypes = zip(*facts, strict=True)
        self.width = facts[0][0]
        self.rows = None if None in counts else sum(count or 0 for count in counts)
        self.dtype = np.result_type(*dtypes)

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """One file after the other, batches running across their borders."""
        return rebatch(self._pieces(size), size, start)

    def _pieces(self, size: int) -> Iterator[Array]:
        for path in self.paths:
            with _open_one(path, self._format) as reader:
                if reader.width != self.width:
                    raise InputError(f"{path} has {reader.width} columns now; it had {self.width}: leave it alone")
                for batch in reader.batches(size):
                    yield batch.astype(self.dtype, copy=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """What is to be written: rows of `width` numbers of `dtype`, how many if known, and the names of their columns."""

    width: int
    rows: int | None = None
    columns: tuple[str, ...] = ()
    dtype: npt.DTypeLike = np.float32


@contextlib.contextmanager
def open_output(
    path: str | os.PathLike[str], layout: Layout, *, format: str | None = None, force: bool = False, keep: bool = False
) -> Iterator[RowWriter]:
    """A writer for `path` or `-` (stdout); the file appears under its name only when the block has succeeded.

    With `keep`, what was written survives a failure and the next writer may `resume` it. Raises `InputError`.
    """
    text = os.fspath(path)
    format = file_format(text, format, FORMATS[:-1])
    if keep and (text == "-" or format not in STREAMED):
        raise InputError(f"{text} cannot be resumed: expected a file that is .npy, .csv or .jsonl")
    with contextlib.ExitStack() as stack:
        if text == "-":
            stream = stack.enter_context(_stdout(format, layout))
        else:
            temporary = stack.enter_context(publish_file(text, force=force, keep=keep))
            stream = stack.enter_context(io.BufferedRandom(SettlingFile(temporary, "r+b")))
        writer = _writer(stream, format, layout)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.finish()
        stream.flush()


def _writer(stream: IO[bytes], format: str, layout: Layout) -> RowWriter:
    if format in ("csv", "jsonl"):
        return TextWriter(stream, format, layout.width, layout.columns)
    if format == "parquet":
        return ParquetWriter(stream, layout.width, layout.columns, layout.dtype)
    return (NpyWriter if format == "npy" else NpzWriter)(stream, layout.width, layout.dtype, layout.rows)


@contextlib.contextmanager
def _stdout(format: str, layout: Layout) -> Iterator[IO[bytes]]:
    """Stdout, or memory that is copied to it in the end if the format must go back to correct itself."""
    text = format in ("csv", "jsonl")
    if os.isatty(STDOUT) and not text:
        raise InputError(f"stdout is a terminal and {format} is binary: pipe it, name a file, or use --format csv")
    # Not sys.stdout.buffer: a thread that waits in it, for a reader who is slow, would hold up the interpreter's exit.
    stream = open(STDOUT, "wb", closefd=False)  # noqa: SIM115 - what an interrupted job left in it is not for the reader
    if text or (format != "parquet" and layout.rows is not None):
        yield stream
    else:
        held = io.BytesIO()
        yield held
        stream.write(held.getbuffer())
    stream.flush()
