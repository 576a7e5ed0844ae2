"""Named arrays in one uncompressed .npz: the same arrays give the same bytes, and reading trusts nothing."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .errors import BundleError
from .zips import unzip

Arrays = dict[str, NDArray[np.generic]]

_TYPES = {np.dtype(name) for name in ("<f4", "<f8", "<i8")}
_HEADER = 4096  # a longer .npy header is not one of ours


def write_npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Arrays as .npz bytes, sorted by name, without a date."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            npy.write_array(member, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return data.getvalue()


def read_npz(data: bytes, name: str, expected: Mapping[str, int], optional: Mapping[str, int] | None = None) -> Arrays:
    """Finite arrays of an .npz that holds the `expected` names with these numbers of dimensions, read-only.

    Raises `BundleError` for anything that `write_npz` would not have written, before memory is allocated for it.
    """
    members = {member.removesuffix(".npy"): body for member, body in unzip(data, name, limit=len(data)).items()}
    dimensions = {**(optional or {}), **expected}
    if not expected.keys() <= members.keys() <= dimensions.keys():
        raise BundleError(f"{name} holds {sorted(members)}: expected {sorted(expected)}: export the bundle again")
    arrays = {array: _parse(body, f"{array} in {name}") for array, body in members.items()}
    for array, values in arrays.items():
        if values.ndim != dimensions[array] or not np.isfinite(values).all():
            raise BundleError(f"{array} in {name} has shape {values.shape}: expected {dimensions[array]} dimensions of "
                              "finite numbers: export the bundle again")
    return arrays


def _parse(data: bytes, name: str) -> NDArray[np.generic]:
    """One .npy as a view of its bytes; the header's shape must account for every byte."""
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, fortran, dtype = npy.read_array_header_1_0(stream, max_header_size=_HEADER)
    except Exception as error:  # the parser meets hostile text, whatever it raises
        raise BundleError(f"{name} has no readable .npy header ({error}): export the bundle again") from None
    body = data[stream.tell():]
    size = dtype.itemsize
    for length in shape:
        size *= length
    if dtype not in _TYPES or fortran or min(shape, default=0) < 0 or size != len(body):
        raise BundleError(f"{name} declares {dtype} {shape} over {len(body)} bytes: expected float32, float64 or int64 "
                          "numbers that fill the member exactly: export the bundle again")
    return np.frombuffer(body, dtype).reshape(shape)
