"""From a path, `-`, a folder or a pattern to a reader or a writer: suffixes, streams and shards."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..errors import InputError, refuse_address
from ..rows import Array
from ..tables.names import listed
from .binary import NpyWriter, NpzWriter, open_npy, open_npz, open_safetensors
from .compression import SUFFIXES, decompress
from .parquet import ArrowRows, ArrowWriter, ParquetRows, ParquetWriter
from .partitions import integer_keys, open_with_keys, unused_keys
from .publish import publish_file
from .reading import Reading
from .selected import SelectedRows
from .settling import SettlingFile
from .shards import notes_on, reaches, shard_paths
from .streams import held_in_memory, open_file, open_stdin
from .syntax import CsvSyntax, JsonSyntax
from .table import Batch, Layout, RowReader, RowWriter, Source, rebatch
from .text import TextRows
from .text_writer import TextWriter


class Format(NamedTuple):
    """How a format is read and written (None: not at all).

    `streamed`: without seeking. `text`: one row per line. `counts_rows`: its header holds the number of rows. `named`:
    its columns have names.
    """

    read: Callable[[Source], RowReader]
    write: Callable[[IO[bytes], Layout], RowWriter] | None = None
    streamed: bool = False
    text: bool = False
    counts_rows: bool = True
    named: bool = False


# A new format: its module, a line here, and its name in the options of the command line, which import no numpy.
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
        lambda source: TextRows(source, CsvSyntax),
        lambda stream, layout: TextWriter(stream, "csv", layout),
        streamed=True,
        text=True,
        named=True,
    ),
    "jsonl": Format(
        lambda source: TextRows(source, JsonSyntax),
        lambda stream, layout: TextWriter(stream, "jsonl", layout),
        streamed=True,
        text=True,
        named=True,
    ),
    "parquet": Format(ParquetRows, ParquetWriter, counts_rows=False, named=True),
    "arrow": Format(ArrowRows, ArrowWriter, counts_rows=False, named=True),
    "safetensors": Format(lambda source: open_safetensors(source.name, source.stream, source.size or 0)),
}
SAME = {"ndjson": "jsonl", "pq": "parquet", "feather": "arrow", "ipc": "arrow", "tsv": "csv", "tab": "csv"}  # other suffixes
_PICKLED = "pickled objects are never loaded: save the rows with np.save(file, x)"
_REMEDIES = {
    "txt": "rename it to .csv or .tsv, or give --format csv",
    "dat": "rename it to .csv or .tsv, or give --format csv",
    "json": "write one record a line, as .jsonl",
    **dict.fromkeys(("xlsx", "xls", "ods"), "save the sheet as .csv"),
    **dict.fromkeys(("zip", "tar", "tgz", "7z"), "unpack it first, and name the file or the folder"),
    **dict.fromkeys(("pkl", "pickle", "joblib", "pt", "pth"), _PICKLED),
    **dict.fromkeys(("h5", "hdf5", "h5ad", "mat", "zarr"), "save the rows with np.save(file, x)"),
}
WRITABLE = tuple(name for name, format in FORMATS.items() if format.write)
STDOUT = 1
READ_ALL = Reading()


def open_rows(
    path: str | os.PathLike[str], *, format: str | None = None, reading: Reading = READ_ALL, **options: Any
) -> RowReader:
    """Open a feature file, `-` (stdin), a folder of files or a pattern such as `x-*.npy`.

    `format` is that of `-` or of a file without a known suffix; `reading`, or its fields as keywords, says which columns
    are features and how text is read.
    Raises `InputError`; `MissingDependencyError` for .parquet without pyarrow.
    """
    reading = replace(reading, **options)
    text = os.fspath(path)
    if not text:
        raise InputError("the name of the feature file is empty: expected a file, a folder, a pattern or -: check the variable")
    refuse_address(text, "expected a file, a folder, a pattern or -: fetch it first, or pipe it to - with --format")
    shards = None if text == "-" else shard_paths(Path(text), FORMATS, _suffix)
    reader = _open_one(text, format, reading) if shards is None else ShardedRows(text, shards, format, reading)
    if reading.width is not None and reader.width != reading.width:
        reader.close()
        raise InputError(
            f"{reader.name} has {reader.width} columns: expected {reading.width}: "
            "pass the features that the model was trained on"
        )
    return reader


def input_files(path: str) -> list[str]:
    """The files that `open_rows` reads for `path`."""
    return shard_paths(Path(path), FORMATS, _suffix) or [path]


def would_read(source: str, output: str) -> bool:
    """Whether a file written to `output` would be one of the files of `source`, a folder or a pattern."""
    return _suffix(output)[0] in FORMATS and reaches(Path(source), Path(output))


def _names(quality: str) -> str:
    """Formats with this quality that can be written, for messages."""
    *first, last = (name for name in WRITABLE if getattr(FORMATS[name], quality))
    return f"{', '.join(first)} or {last}"


def _open_one(path: str, format: str | None, reading: Reading = READ_ALL) -> RowReader:
    return open_with_keys(path, reading, lambda reading: _open_file(path, format, reading))


def _open_file(path: str, format: str | None, reading: Reading) -> RowReader:
    format = file_format(path, format, tuple(FORMATS))
    kind, name = FORMATS[format], "stdin" if path == "-" else path
    stream, size = open_stdin(format) if path == "-" else open_file(path)
    try:
        if path != "-" and (packed := _suffix(path)[1]):
            stream, size = decompress(name, stream, packed), None
        if size is None and not kind.streamed:
            stream, size = held_in_memory(name, stream)
        if Path(path).suffix.lower() in (".tsv", ".tab") and reading.delimiter is None:
            reading = replace(reading, delimiter="\t")
        reader = kind.read(Source(name, stream, size, reading))
        reader = SelectedRows(reader, reading) if reading.selects and not kind.named else reader
    except BaseException:
        stream.close()
        raise
    reader.stream = stream
    return reader


def _suffix(path: str) -> tuple[str, str]:
    """The format that the suffix of `path` names (or the suffix itself), and the suffix of a compression or ""."""
    name = path.lower()
    packed = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    suffix = Path(name.removesuffix(packed)).suffix.removeprefix(".")
    return SAME.get(suffix, suffix), packed


def file_format(path: str, format: str | None, known: tuple[str, ...]) -> str:
    """The format of the suffix of `path`, else `format`; `InputError` if it is not one of `known`."""
    found, packed = _suffix(path)
    found = found if found in FORMATS else format or found
    if path == "-" and format is None:
        raise InputError(f"- has no suffix: name its format with --format ({', '.join(known)})")
    if packed and known == WRITABLE:
        raise InputError(f"{path} would be compressed: expected a suffix without {packed}: write {found}, then compress it")
    if found not in known:
        remedy = f": {_REMEDIES[found]}" if found in _REMEDIES else " or --format"
        raise InputError(f"{path} has no known format: expected {', '.join(known)} as suffix{remedy}")
    return found


class ShardedRows(RowReader):
    """Files of equal columns, in the natural order of their names; named columns are matched by name with the first file's.

    A file of text that holds a header alone counts as empty, unless all do.
    """

    bad: list[str]

    def __init__(self, name: str, paths: list[str], format: str | None, reading: Reading = READ_ALL) -> None:
        self.name, self.paths, self._format = name, paths, format
        self.reading = replace(reading, empty=True, integer_keys=integer_keys(paths))
        self.bad = []
        facts, headers, notes = [], 0, dict[str, str]()  # by what they say: of the first file that is read so
        for path in paths:  # one at a time: the number of open files is limited
            with _open_one(path, format, self.reading) as reader:
                facts.append((reader.width, reader.rows, reader.dtype))
                headers += isinstance(getattr(reader, "whole", reader), TextRows) and reader.rows == 0
                notes |= {say: note for note in reader.notes if (say := note.removeprefix(path)) not in notes}
            if len(facts) == 1:
                self.columns, self.ids, self.id_types = reader.columns, reader.ids, reader.id_types
                if self.reading.expected is None:
                    self.reading = replace(self.reading, expected=reader.columns)
            if reader.width != facts[0][0]:
                raise InputError(
                    f"{reader.name} has {reader.width} columns: expected {facts[0][0]} as in the other files: keep one width"
                )
            if (reader.columns is None) != (self.columns is None):
                raise InputError(f"{reader.name} and {paths[0]} differ: one names its columns, one does not: expected the same")
        if headers == len(paths):
            raise InputError(f"{name} holds no rows but headers: expected one row of numbers a line")
        beside = notes_on(Path(name), paths, FORMATS, _suffix)
        self.notes = (*notes.values(), *unused_keys(name, paths, self.reading), *beside)
        _, counts, dtypes = zip(*facts, strict=True)
        self.width = facts[0][0]
        self.rows = None if None in counts else sum(count or 0 for count in counts)
        self.dtype = np.result_type(*dtypes)

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Batches across the boundaries of files."""
        return rebatch((batch.values for batch in self._pieces(size, False)), size, start)

    def labelled(self, size: int, start: int = 0) -> Iterator[Batch]:
        """Batches across the boundaries of files, with the columns that pass through."""
        return rebatch(self._pieces(size, True), size, start)

    def _pieces(self, size: int, labels: bool) -> Iterator[Batch]:
        self.bad = []
        for path in self.paths:
            with _open_one(path, self._format, self.reading) as reader:
                if reader.width != self.width:
                    raise InputError(f"{path} has {reader.width} columns: it had {self.width} when opened: keep it unchanged")
                for batch in reader.labelled(size) if labels else map(Batch, reader.batches(size)):
                    yield replace(batch, values=batch.values.astype(self.dtype, copy=False))
                self.bad.extend(reader.bad)


@contextlib.contextmanager
def open_output(
    path: str | os.PathLike[str], layout: Layout, *, format: str | None = None, force: bool = False, keep: bool = False
) -> Iterator[RowWriter]:
    """A writer for `path` or `-` (stdout); the file gets its name only after the block succeeded.

    With `keep`, written rows survive a failure and the next writer may `resume` after them. Raises `InputError`.
    """
    text = os.fspath(path)
    if text in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        raise InputError(f"{text} cannot be replaced by a file: use - to write to stdout")
    refuse_address(text, "expected a file or -: write a file and copy it there, or pipe - with --format")
    format = file_format(text, format, WRITABLE)
    if layout.ids and not FORMATS[format].named:
        named = _names("named")
        raise InputError(
            f"{text} is {format}, which holds numbers alone: the columns {listed(layout.ids)} need {named} as output"
        )
    if keep and (text == "-" or not FORMATS[format].streamed):
        raise InputError(f"{text} cannot be resumed: expected a file that is {_names('streamed')}")
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
        writer.write_end()
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
