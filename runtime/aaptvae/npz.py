"""Named arrays in one uncompressed .npz: the same arrays give the same bytes, and reading trusts nothing."""

import io
import math
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
    dimensions = {**(optional or {}), **expected}
    members = unzip(data, name, limit=len(data))
    if not {f"{array}.npy" for array in expected} <= members.keys() <= {f"{array}.npy" for array in dimensions}:
        raise BundleError(f"{name} holds {sorted(members)}: expected {sorted(expected)}: export the bundle again")
    arrays = {member.removesuffix(".npy"): _parse(body, f"{member} in {name}") for member, body in members.items()}
    for array, values in arrays.items():
        if values.ndim != dimensions[array] or not np.isfinite(values).all():
            raise BundleError(f"{array} in {name} has shape {values.shape}: expected {dimensions[array]} dimensions of "
                              "finite numbers: export the bundle again")
    return arrays


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
    except Exception as error:  # the parser meets hostile text, whatever it raises
        raise BundleError(f"{name} is no .npy of ours ({error}): expected float32, float64 or int64 numbers that fill "
                          "it exactly: export the bundle again") from None
