"""Rows of fixed width after a header: .npy, members of .npz, tensors of .safetensors, read without memmap."""

import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..rows import Array
from .table import RowReader, RowWriter, check_table

MAX_HEADER = 10_000
MAX_TENSORS_HEADER = 16 << 20
MAX_COLUMN_MAJOR = 1 << 30  # bytes that are held in memory
SPARSE = {"data", "indices", "indptr", "shape", "format"}  # members that scipy.sparse.save_npz writes
FIELD = re.compile(r"""\s*['"](descr|fortran_order|shape)['"]\s*:\s*(['"][^'"]{0,99}['"]|True|False|\([\d, ]*\)),?""")
HEADER = re.compile(r"\s*\{(?:" + FIELD.pattern + r"){3}\s*\}\s*")
TENSOR_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"} | {
    f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)
}


class BinaryRows(RowReader):
    """Rows of one dtype from the position of `stream` on."""

    def __init__(self, name: str, stream: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        check_table(name, shape)
        self.name, self._stream, self.dtype = name, stream, dtype.newbyteorder("=")
        self.rows, self.width = shape
        self._stored, self._at = dtype, 0
        self._start = stream.tell() if stream.seekable() else None

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Read the rows and convert their byte order."""
        self._skip(start)
        rows = self.rows or 0
        for first in range(start, rows, size):
            batch = np.empty((min(size, rows - first), self.width), self._stored)
            self._fill(batch.view(np.uint8).reshape(-1).data)
            self._at += len(batch)
            yield batch.astype(self.dtype, copy=False)

    def _skip(self, start: int) -> None:
        row = self.width * self._stored.itemsize
        if self._start is not None:
            self._stream.seek(self._start + start * row)
        elif start < self._at:
            raise InputError(f"{self.name} is a stream, which cannot be read twice: give a file")
        else:
            for first in range(self._at, start, 1024):
                self._fill(memoryview(bytearray(min(1024, start - first) * row)))
        self._at = start

    def _fill(self, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            try:
                count = self._stream.readinto(buffer[done:])  # type: ignore[attr-defined]
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
                raise InputError(f"{self.name} cannot be read near row {self._at}: {error}") from error
            if not count:
                raise InputError(f"{self.name} ends near row {self._at}: its header says {self.rows}: copy it again")
            done += count


class ColumnMajorRows(RowReader):
    """A Fortran-ordered .npy file: rows are gathered from a memmap, column by column."""

    def __init__(self, name: str, array: Array) -> None:
        check_table(name, array.shape)
        self.name, self._array, self.dtype = name, array, array.dtype.newbyteorder("=")
        self.rows, self.width = array.shape

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Copy the rows out of the memmap."""
        for first in range(start, self._array.shape[0], size):
            yield np.array(self._array[first : first + size], self.dtype, order="C")


def open_npy(name: str, stream: IO[bytes], size: int | None, member: bool = False) -> RowReader:
    """Rows of an .npy stream of `size` bytes (None: unknown); a `member` of an archive cannot be memory-mapped."""
    shape, fortran, dtype, header = read_npy_header(name, stream)
    check_table(name, shape)
    needed = header + shape[0] * shape[1] * dtype.itemsize
    if size is not None and size != needed:
        raise InputError(f"{name} has {size} bytes: its header declares {needed} ({shape} {dtype}): copy it again")
    if fortran and shape[0] > 1 < shape[1]:
        if size is None or member:
            return ColumnMajorRows(name, _held_columns(name, stream, needed - header, shape, dtype))
        return ColumnMajorRows(name, np.memmap(stream, dtype, "r", header, shape, "F"))
    return BinaryRows(name, stream, (shape[0], shape[1]), dtype)


def _held_columns(name: str, stream: IO[bytes], count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A table in Fortran order, whose first row needs all of its bytes, in memory."""
    if count > MAX_COLUMN_MAJOR:
        raise InputError(
            f"{name} is in Fortran order, which cannot be streamed, and larger than {MAX_COLUMN_MAJOR >> 30} GiB: "
            "np.save(file, np.ascontiguousarray(x))"
        )
    try:
        data = _exactly(stream, count)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise InputError(f"{name} cannot be read: {error}") from error
    if len(data) < count:
        raise InputError(f"{name} ends after {len(data)} bytes: its header says {count}: copy it again")
    return np.frombuffer(data, dtype).reshape(shape, order="F")


def read_npy_header(name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, Fortran order, dtype and length of an .npy header, by a regular expression: nothing is evaluated."""
    magic = _exactly(stream, 8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise InputError(f"{name} is not an .npy file: write it with np.save(file, x)")
    prefix = _exactly(stream, 2 if magic[6] == 1 else 4)
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        raise InputError(f"{name} has an .npy header of {length} bytes; a table needs about 118: the file is damaged")
    text = _exactly(stream, length).decode("latin-1")
    fields = dict(FIELD.findall(text)) if HEADER.fullmatch(text) else {}
    if re.search(r"""['"]descr['"]\s*:\s*\[""", text):
        raise InputError(
            f"{name} is a structured array with named fields: expected a plain table: "
            "np.save(file, numpy.lib.recfunctions.structured_to_unstructured(x))"
        )
    if len(fields) < 3 or max(map(len, re.findall(r"\d+", text)), default=0) > 18:
        raise InputError(f"{name} has a damaged .npy header: write a plain table with np.save(file, x)")
    descr, shape = fields["descr"][1:-1], tuple(int(n) for n in re.findall(r"\d+", fields["shape"]))
    if "O" in descr:
        raise InputError(f"{name} holds pickled Python objects, which are never loaded: save x.astype(np.float32)")
    return shape, fields["fortran_order"] == "True", table_dtype(name, descr), 8 + len(prefix) + length


def table_dtype(name: str, descr: str) -> np.dtype[Any]:
    """The dtype that `descr` (`<f4`) names; `InputError` unless it is a plain real number."""
    if not re.fullmatch(r"[<>|=]?(f[248]|[iu][1248])", descr):
        hint = "convert 0/1 columns with .astype(np.float32)" if descr in ("|b1", "BOOL") else "save them as float32"
        raise InputError(f"{name} holds {descr} values; features are real numbers: {hint}")
    return np.dtype(descr)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    """`count` bytes, or all up to the end: one read of a raw stream may return fewer."""
    parts = []
    while count and (part := stream.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def open_npz(name: str, stream: IO[bytes]) -> RowReader:
    """Rows of the only array of an .npz file, or of the one called x, decompressed as they are read."""
    try:
        archive = zipfile.ZipFile(stream)
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        info = members[_choose(name, list(members))]
        return open_npy(f"{name}[{info.filename}]", archive.open(info), info.file_size, member=True)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is not a readable .npz file ({error}): write it with np.savez(file, x=x)") from error


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[Annotated[int, msgspec.Meta(ge=0, le=1 << 48)]]
    data_offsets: tuple[int, int]


def open_safetensors(name: str, stream: IO[bytes], size: int) -> RowReader:
    """Rows of the only matrix of a .safetensors file, or of the one called x."""
    length = int.from_bytes(_exactly(stream, 8), "little")
    if not 2 <= length <= min(MAX_TENSORS_HEADER, size - 8):
        raise InputError(f"{name} is not a .safetensors file: {size} bytes with a header of {length}")
    try:
        header = msgspec.json.decode(_exactly(stream, length), type=dict[str, msgspec.Raw])
        header.pop("__metadata__", None)
        tensors = {key: msgspec.json.decode(raw, type=_Tensor) for key, raw in header.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{name} has a damaged .safetensors header ({error}): write it again") from error
    tensor = tensors[_choose(name, [key for key, tensor in tensors.items() if len(tensor.shape) == 2])]
    dtype = table_dtype(name, TENSOR_DTYPES.get(tensor.dtype, tensor.dtype))
    begin, end = tensor.data_offsets
    if not 0 <= begin <= end <= size - 8 - length or end - begin != math.prod(tensor.shape) * dtype.itemsize:
        raise InputError(
            f"{name} declares {tensor.shape} {tensor.dtype} at bytes {begin}..{end}, which do not fit: copy it again"
        )
    stream.seek(8 + length + begin)
    return BinaryRows(name, stream, (tensor.shape[0], tensor.shape[1]), dtype)


def _choose(name: str, keys: list[str]) -> str:
    if len(SPARSE.intersection(keys)) >= 4:
        raise InputError(
            f"{name} is a sparse matrix, saved by scipy.sparse.save_npz: expected dense rows: "
            "np.save(file, scipy.sparse.load_npz(file).toarray())"
        )
    if len(keys) != 1 and "x" not in keys:
        held = ", ".join(repr(key)[:40] for key in keys[:8]) or "none"
        raise InputError(f"{name} must hold one table, or one called x; it holds {len(keys)}: {held}")
    return "x" if "x" in keys else keys[0]


class NpyWriter(RowWriter):
    """Writes the bytes of np.save; if `rows` is unknown, the header gets the count at the end."""

    def __init__(self, stream: IO[bytes], width: int, dtype: npt.DTypeLike, rows: int | None = None) -> None:
        self.stream, self._shape, self._dtype, self.rows = stream, (rows or 0, width), np.dtype(dtype), 0
        self._header()

    def _header(self) -> None:
        # The header has the same length for any number of rows: np.save pads it.
        facts = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self.stream, facts)

    def write(self, batch: Array, ids: Sequence[Array] = ()) -> None:
        """Append with write: dirty pages of a memmap would count as memory of the process."""
        self.stream.write(np.ascontiguousarray(batch, self._dtype).view(np.uint8).reshape(-1).data)
        self.rows += len(batch)

    def write_end(self) -> None:
        """Correct the number of rows in the header."""
        if self._shape[0] != self.rows:
            self._shape = (self.rows, self._shape[1])
            self.stream.seek(0)
            self._header()
            self.stream.seek(0, io.SEEK_END)


class NpzWriter(RowWriter):
    """One stored member, x.npy; buffered in memory if the number of rows is unknown."""

    def __init__(self, stream: IO[bytes], width: int, dtype: npt.DTypeLike, rows: int | None = None) -> None:
        self._archive = zipfile.ZipFile(stream, "w")
        self._member: IO[bytes] = io.BytesIO() if rows is None else self._open()
        self._npy = NpyWriter(self._member, width, dtype, rows)

    def _open(self) -> IO[bytes]:
        return self._archive.open(zipfile.ZipInfo("x.npy"), "w", force_zip64=True)  # dated 1980: equal rows give equal bytes

    def write(self, batch: Array, ids: Sequence[Array] = ()) -> None:
        """Append to the member."""
        self._npy.write(batch)

    def abandon(self) -> None:
        """Detach the file, or the archive's finaliser would write to it."""
        self._archive.fp = None

    def write_end(self) -> None:
        """Close the member and write the directory of the archive."""
        self._npy.write_end()
        if isinstance(self._member, io.BytesIO):
            with self._open() as member:
                member.write(self._member.getbuffer())
        else:
            self._member.close()
        self._archive.close()
