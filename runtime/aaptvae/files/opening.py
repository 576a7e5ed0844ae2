"""From a path, `-`, a folder or a pattern to a reader or a writer: suffixes, streams and shards."""

import contextlib
import glob
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from ..errors import InputError
from ..rows import Array
from .binary import NpyWriter, NpzWriter, open_npy, open_npz, open_safetensors
from .parquet import ParquetRows, ParquetWriter
from .publish import publish_file
from .settling import SettlingFile
from .table import Layout, RowReader, RowWriter, Source, rebatch
from .text import TextRows, TextWriter


class Format(NamedTuple):
    """How a format is read and written (None: not at all).

    `streamed`: without seeking. `text`: one row per line. `counts_rows`: its header holds the number of rows.
    """

    read: Callable[[Source], RowReader]
    write: Callable[[IO[bytes], Layout], RowWriter] | None = None
    streamed: bool = False
    text: bool = False
    counts_rows: bool = True


# A new format: its module and a line here (and its name in the options of the command line, which import no numpy).
FORMATS = {
    "npy": Format(
        lambda source: open_npy(source.name, source.stream, source.size),
        lambda stream, layout: NpyWriter(stream, layout.width, layout.dtype, layout.rows),
        streamed=True,
    ),
    "npz": Format(
        lambda source: open_npz(source.name, source.stream),
        lambda stream, layout: NpzWriter(stream, layout.width, layout.dtype, layout.rows),
    ),
    "csv": Format(
        lambda source: TextRows(source.name, source.stream, "csv", source.width, source.skip_bad),
        lambda stream, layout: TextWriter(stream, "csv", layout.width, layout.columns),
        streamed=True,
        text=True,
    ),
    "jsonl": Format(
        lambda source: TextRows(source.name, source.stream, "jsonl", source.width, source.skip_bad),
        lambda stream, layout: TextWriter(stream, "jsonl", layout.width, layout.columns),
        streamed=True,
        text=True,
    ),
    "parquet": Format(
        lambda source: ParquetRows(source.name, source.stream),
        lambda stream, layout: ParquetWriter(stream, layout.width, layout.columns, layout.dtype),
        counts_rows=False,
    ),
    "safetensors": Format(lambda source: open_safetensors(source.name, source.stream, source.size or 0)),
}
WRITABLE = tuple(name for name, format in FORMATS.items() if format.write)
STDIN, STDOUT = 0, 1
MAX_HELD = 1 << 30  # bytes of a piped file that is read into memory because its format needs seeking


def open_rows(
    path: str | os.PathLike[str], *, format: str | None = None, width: int | None = None, skip_bad: bool = False
) -> RowReader:
    """Open a feature file, `-` (stdin), a folder of files or a pattern such as `x-*.npy`.

    `format` is that of `-` or of a file without a known suffix; `width` is checked if given; `skip_bad` skips bad
    lines of text and lists them in `.bad`.
    Raises `InputError`; `MissingDependencyError` for .parquet without pyarrow.
    """
    text = os.fspath(path)
    shards = None if text == "-" else _shards(Path(text))
    reader = _open_one(text, format, width, skip_bad) if shards is None else ShardedRows(text, shards, format)
    if width is not None and reader.width != width:
        reader.close()
        raise InputError(
            f"{reader.name} has {reader.width} columns: expected {width}: pass the features that the model was trained on"
        )
    return reader


def _open_one(path: str, format: str | None, width: int | None = None, skip_bad: bool = False) -> RowReader:
    format = file_format(path, format, tuple(FORMATS))
    kind, name = FORMATS[format], "stdin" if path == "-" else path
    if skip_bad and not kind.text:
        raise InputError(f"{name} is {format}: --on-bad-row skip is for csv and jsonl, where a row is a line")
    stream, size = _stdin(format) if path == "-" else _file(path)
    try:
        if size is None and not kind.streamed:
            stream, size = _held(name, stream)
        reader = kind.read(Source(name, stream, size, width, skip_bad))
    except BaseException:
        stream.close()
        raise
    reader.stream = stream
    return reader


def file_format(path: str, format: str | None, known: tuple[str, ...]) -> str:
    """The format of the suffix of `path`, else `format`; `InputError` if it is not one of `known`."""
    suffix = Path(path).suffix.lower().removeprefix(".")
    found = {"ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
    found = found if found in FORMATS else format or found
    if path == "-" and format is None:
        raise InputError(f"- has no suffix: name its format with --format ({', '.join(known)})")
    if found not in known:
        raise InputError(f"{path} has no known format: expected {', '.join(known)} as suffix or --format")
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
    # Not sys.stdin.buffer: a thread blocked in a read of it would delay the interpreter's exit.
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
    """Files of equal width, in the order of their names."""

    def __init__(self, name: str, paths: list[str], format: str | None) -> None:
        self.name, self.paths, self._format = name, paths, format
        facts = []
        for path in paths:  # one at a time: the number of open files is limited
            with _open_one(path, format, None, False) as reader:
                facts.append((reader.width, reader.rows, reader.dtype))
            if reader.width != facts[0][0]:
                raise InputError(
                    f"{reader.name} has {reader.width} columns: expected {facts[0][0]} as in the other files: keep one width"
                )
        _, counts, dtypes = zip(*facts, strict=True)
        self.width = facts[0][0]
        self.rows = None if None in counts else sum(count or 0 for count in counts)
        self.dtype = np.result_type(*dtypes)

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Batches across the boundaries of files."""
        return rebatch(self._pieces(size), size, start)

    def _pieces(self, size: int) -> Iterator[Array]:
        for path in self.paths:
            with _open_one(path, self._format) as reader:
                if reader.width != self.width:
                    raise InputError(f"{path} has {reader.width} columns: it had {self.width} when opened: keep it unchanged")
                for batch in reader.batches(size):
                    yield batch.astype(self.dtype, copy=False)


@contextlib.contextmanager
def open_output(
    path: str | os.PathLike[str], layout: Layout, *, format: str | None = None, force: bool = False, keep: bool = False
) -> Iterator[RowWriter]:
    """A writer for `path` or `-` (stdout); the file gets its name only after the block succeeded.

    With `keep`, written rows survive a failure and the next writer may `resume` after them. Raises `InputError`.
    """
    text = os.fspath(path)
    format = file_format(text, format, WRITABLE)
    if keep and (text == "-" or not FORMATS[format].streamed):
        raise InputError(f"{text} cannot be resumed: expected a file that is .npy, .csv or .jsonl")
    with contextlib.ExitStack() as stack:
        if text == "-":
            stream = stack.enter_context(_stdout(format, layout))
        else:
            temporary = stack.enter_context(publish_file(text, force=force, keep=keep))
            stream = stack.enter_context(io.BufferedRandom(SettlingFile(temporary, "r+b")))
        write = FORMATS[format].write
        assert write is not None  # noqa: S101 - `file_format` refused the others
        writer = write(stream, layout)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.finish()
        stream.flush()


@contextlib.contextmanager
def _stdout(format: str, layout: Layout) -> Iterator[IO[bytes]]:
    """Stdout; for a format that must seek back, a buffer in memory that is copied to stdout at the end."""
    kind = FORMATS[format]
    if os.isatty(STDOUT) and not kind.text:
        raise InputError(f"stdout is a terminal and {format} is binary: pipe it, name a file, or use --format csv")
    # Not sys.stdout.buffer: a thread blocked in a write to it would delay the interpreter's exit.
    stream = open(STDOUT, "wb", closefd=False)  # noqa: SIM115 - not flushed after an error
    if kind.text or (kind.counts_rows and layout.rows is not None):
        yield stream
    else:
        held = io.BytesIO()
        yield held
        stream.write(held.getbuffer())
    stream.flush()
