"""Named arrays in one uncompressed .npz with exactly one valid encoding.

Headers have one exact form; the reader rebuilds it and compares. No ambiguity between zip parsers is possible, and
`zipfile`, whose import takes as long as opening a session, is not needed.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import BundleError
from ..rows import Arrays

_TYPES = {np.dtype(name) for name in ("<f4", "<f8", "<i8")}
_HEADER = 4096  # bytes of a .npy header, at most
_MOST = 64  # arrays, at most

# PKWARE's APPNOTE 4.3.7, 4.3.12 and 4.3.16: stored members, dated 1980-01-01, one disk, no comments.
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s2B5H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_DATE = (1 << 5) + 1
_VERSION = 20
_UNIX, _MODE = 3, 0o600 << 16


def write_npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Arrays as .npz bytes, sorted by name, without a date."""
    members = {}
    for name in sorted(arrays):
        member = io.BytesIO()
        npy.write_array(member, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = member.getvalue()
    return b"".join(_local(name, body) + body for name, body in members.items()) + _directory(members)


def read_npz(data: bytes, name: str, expected: Mapping[str, int], optional: Mapping[str, int] | None = None) -> Arrays:
    """Finite arrays of an .npz that holds the `expected` names with these numbers of dimensions, read-only.

    Raises `BundleError` for anything that `write_npz` would not have written, before memory is allocated for it.
    """
    dimensions = {**(optional or {}), **expected}
    members = dict(islice(_members(data, name), _MOST))
    end = sum(_LOCAL.size + len(member) + len(body) for member, body in members.items())
    if data[end:] != _directory(members):
        raise BundleError(f"{name} has a wrong central directory after {len(members)} arrays: fetch the bundle again")
    if not {f"{array}.npy" for array in expected} <= members.keys() <= {f"{array}.npy" for array in dimensions}:
        raise BundleError(f"{name} holds {sorted(members)}: expected {sorted(expected)}: export the bundle again")
    arrays = {member.removesuffix(".npy"): _parse(body, f"{member} in {name}") for member, body in members.items()}
    for array, values in arrays.items():
        if values.ndim != dimensions[array] or not np.isfinite(values).all():
            raise BundleError(
                f"{array} in {name} has shape {values.shape}: expected {dimensions[array]} dimensions of "
                "finite numbers: export the bundle again"
            )
    return arrays


def _members(data: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    """Names and bodies in order; raises `BundleError` for a header that `write_npz` would not write."""
    start = 0
    while data.startswith(b"PK\x03\x04", start) and len(data) >= start + _LOCAL.size:
        *_, size, length, _ = _LOCAL.unpack_from(data, start)
        body = start + _LOCAL.size + length
        member = data[start + _LOCAL.size : body].decode("latin-1"), data[body : body + size]
        if data[start:body] != _local(*member):
            raise BundleError(f"{name} has a wrong header at byte {start}: fetch the bundle again")
        yield member
        start = body + size


def _local(name: str, body: bytes) -> bytes:
    """The local header of a member."""
    facts = zlib.crc32(body), len(body), len(body), len(name), 0
    return _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, 0, _DATE, *facts) + name.encode("latin-1")


def _directory(members: Mapping[str, bytes]) -> bytes:
    """The central directory, after all members."""
    start, entries = 0, b""
    for name, body in members.items():
        facts = zlib.crc32(body), len(body), len(body), len(name), 0, 0, 0, 0, _MODE, start
        entries += _ENTRY.pack(b"PK\x01\x02", _VERSION, _UNIX, _VERSION, 0, 0, 0, _DATE, *facts) + name.encode("latin-1")
        start += _LOCAL.size + len(name) + len(body)
    return entries + _END.pack(b"PK\x05\x06", 0, 0, len(members), len(members), len(entries), start, 0)


def _parse(data: bytes, name: str) -> NDArray[np.generic]:
    """One .npy as a view of its bytes; the header's shape must account for every byte."""
    stream = io.BytesIO(data)
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError("not version 1.0")
        shape, fortran, dtype = npy.read_array_header_1_0(stream, max_header_size=_HEADER)
        body = data[stream.tell() :]
        if dtype not in _TYPES or fortran or math.prod(shape) * dtype.itemsize != len(body):
            raise ValueError(f"it declares {dtype} {shape} over {len(body)} bytes")
        return np.frombuffer(body, dtype).reshape(shape)
    except Exception as error:  # numpy raises many types on malformed headers
        raise BundleError(
            f"{name} has a wrong .npy header ({error}): expected float32, float64 or int64 numbers that fill "
            "it exactly: export the bundle again"
        ) from None
