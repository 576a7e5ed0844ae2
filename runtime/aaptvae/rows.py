"""Input rows as finite float32 [N, width], and matrix products whose bits do not depend on the batch."""

import contextlib
import math
import operator
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

Rows = NDArray[np.float32]  # [N, width]
Names = Sequence[str] | None  # of columns [width], None for columns that are called by their positions
Nats = NDArray[np.float64]  # [N]
Matrix = NDArray[np.float64]  # of any shape
Array = NDArray[Any]
Arrays = dict[str, NDArray[np.generic]]  # by name, as in an .npz

BLOCK = 64  # rows computed together: results of a row depend only on its position in the block

_FEW = 8192  # values: for more, BLAS would use several threads
_FLOAT32 = np.dtype(np.float32)


def as_rows(x: ArrayLike, width: int, name: str = "x", first: int = 0, columns: Names = None) -> Rows:
    """`x` as C-contiguous finite float32 [N, width], itself when it already is.

    `first` is the number of its first row in errors, `columns` are the names there.

    Raises `InputError` for anything but a 2-D array of finite integers or floats of that width.
    """
    array: Array
    rows: Rows
    if type(x) is np.ndarray and x.dtype is _FLOAT32 and x.ndim == 2 and x.shape[1] == width:
        flags = x.flags
        array = rows = x if flags.c_contiguous and flags.aligned else x.copy()
    else:
        array = shaped(x, width, name)
        with np.errstate(over="ignore"):  # overflow gives inf, which is refused below
            rows = np.require(array, np.float32, ["C", "A"])
    if not _finite(rows):
        row, column = np.argwhere(~np.isfinite(rows))[0].tolist()
        raise BadRowError(
            f"{name} has {array[row, column]} at row {first + row}, column {called(column, columns)}: expected finite float32 "
            "numbers: drop the row or fill in the value"
        )
    return rows


_LARGEST = 2.0**127  # half of what float32 holds


def _finite(rows: Rows) -> bool:
    """True if every value is finite: a finite sum proves it; else every value is checked, because sums may overflow."""
    if rows.size <= _FEW:
        return math.isfinite(np.vdot(rows, rows)) or bool(np.isfinite(rows).all())
    return math.isfinite(np.einsum("i->", rows.reshape(-1))) or bool(np.isfinite(rows).all())


class BadRowError(InputError):
    """An error of one row, which a job may leave out."""


class RowError(BadRowError):
    """A row of finite numbers for which the model's results are not finite."""

    def __init__(self, name: str, row: int, problem: str, value: str) -> None:
        super().__init__(name, row, problem, value)
        self.name, self.row, self.problem, self.value = name, row, problem, value

    def __str__(self) -> str:
        return f"{self.name} row {self.row} {self.problem}{self.value}: drop the row or clip its values"


@contextlib.contextmanager
def numbered(first: int, name: str = "x", share: int = 1) -> Iterator[None]:
    """Raise a `RowError` again with its row counted from `first` and its table called `name`.

    `share` is how many rows were computed for each row of that table.
    """
    try:
        yield
    except RowError as error:
        value = error.value if error.name == "x" else ""  # that of a latent is no value of the table
        raise RowError(name, first + error.row // share, error.problem, value) from None


def called(column: int, columns: Names) -> str:
    """The name of a column, else its position."""
    return str(column) if columns is None else columns[column]


def refuse_overflow(name: str, rows: Rows, first: int, results: Sequence[Rows], columns: Names = None) -> None:
    """Raise `RowError` if a result [N, width] of finite `rows` [N, D] is not finite, or too large to be told from one.

    Matrix products of onnxruntime on arm64 give the largest float32 where a sum is above it. `first` and `columns` are as in
    `as_rows`.
    """
    for result in results:
        # Squares are finite below 1.8e19; only larger values are looked at one by one.
        squares = np.vdot(result, result) if result.size <= _FEW else np.einsum("ij,ij->", result, result)
        if not math.isfinite(squares) and not (within := (np.abs(result) < _LARGEST).all(axis=1)).all():
            row = int(np.flatnonzero(~within)[0])
            column = int(np.abs(rows[row]).argmax())
            raise RowError(
                name,
                first + row,
                "is too large for the model, whose results are not finite",
                f": the value in column {called(column, columns)} is {rows[row, column]:g}",
            )


def shaped(x: ArrayLike, width: int, name: str = "x") -> NDArray[np.generic]:
    """`x` as an array [N, width] of integers or floats, without conversion; raises `InputError`."""
    if isinstance(x, np.ndarray) and hasattr(x, "mask") and np.asarray(x.mask).any():
        raise InputError(f"{name} is a masked array: expected no masked values: fill them first")
    try:
        array = np.asarray(x)
    except Exception as error:  # ragged lists, tensors that require gradients, other objects
        if isinstance(x, list | tuple):
            raise InputError(f"{name} is a list of rows of several lengths: expected {width} numbers in each") from None
        raise InputError(
            f"{name} is a {type(x).__name__} that numpy cannot read ({error}): expected numbers [N, {width}]: pass a 2-D array"
        ) from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} has dtype {array.dtype}: expected floats or integers: convert it to float32")
    if array.ndim != 2:
        remedy = f"for one row pass {name}.reshape(1, -1)" if array.ndim < 2 else f"pass {name}.reshape(-1, {width})"
        raise InputError(f"{name} has shape {array.shape}: expected two dimensions [N, {width}]: {remedy}")
    if array.shape[1] != width:
        raise InputError(
            f"{name} has {array.shape[1]} columns: this bundle takes {width}: pass the features (or latents) of its model"
        )
    return array


def as_output(out: Rows | None, rows: int, width: int, *others: object) -> Rows:
    """`out`, if it fits [rows, width] and shares no memory with `others`, or a new array; raises `InputError`."""
    if out is None:
        return np.empty((rows, width), np.float32)
    if not (isinstance(out, np.ndarray) and out.shape == (rows, width) and out.dtype == _FLOAT32 and out.flags.writeable):
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise InputError(f"out is {got}: expected a writeable float32 array ({rows}, {width})")
    if any(isinstance(other, np.ndarray) and np.shares_memory(out, other) for other in others):
        raise InputError("out overlaps an input or another output: expected separate memory: pass another array")
    return out


def as_count(value: int, name: str) -> int:
    """`value` as a Python integer from 1 up; raises `InputError`."""
    try:
        count = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise InputError(f"{name} is {value!r}: expected an integer from 1 up")
    return count


def as_range(n: int | range) -> range:
    """Rows 0 to `n`, or the given range of rows; raises `InputError`."""
    if not isinstance(n, range):
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise InputError(f"n is {n!r}: expected the number of rows, an integer from 0 up")
        n = range(int(n))
    if n.stop > sys.maxsize:
        raise InputError(f"n ends above {sys.maxsize}: expected fewer rows")
    if n.start < 0 or n.step != 1:
        raise InputError(f"n is {n!r}: expected a range of rows from 0 up, one by one")
    return n


def is_single(value: Any) -> bool:
    """Whether `value` is one value, such as a number, a text or an array without dimensions, and no sequence of values."""
    if isinstance(value, list | tuple):
        return False
    try:
        return np.ndim(value) == 0
    except ValueError:  # a sequence of sequences of several lengths
        return False


def sum_rows(values: Matrix) -> Nats:
    """Sum of each row of `values` [N, width]: [N]."""
    sums: Nats = values.sum(axis=1)
    return sums


def steady_product(a: NDArray[np.floating], b: NDArray[np.floating]) -> Matrix:
    """`a @ b` in float64, tile by tile: BLAS chooses kernels and threads by shape, so the shapes are equal for any N.

    A tile of 64 x 64 x 64 is the largest product that OpenBLAS computes in one thread; starting others takes
    milliseconds on a busy machine.
    """
    blocks = -(-len(a) // BLOCK)
    padded = np.zeros((blocks * BLOCK, a.shape[1]))
    padded[: len(a)] = a
    stack, b = padded.reshape(blocks, BLOCK, a.shape[1]), np.asarray(b, np.float64)
    product = np.zeros((blocks, BLOCK, b.shape[1]))
    for i in range(0, b.shape[0], BLOCK):
        for j in range(0, b.shape[1], BLOCK):
            product[:, :, j : j + BLOCK] += stack[:, :, i : i + BLOCK] @ b[i : i + BLOCK, j : j + BLOCK]
    return product.reshape(blocks * BLOCK, b.shape[1])[: len(a)]


def check_image_shape(shape: tuple[int, int] | None, width: int) -> None:
    """`InputError` unless rows of `width` features are pictures of this height and width."""
    if shape is not None and shape[0] * shape[1] != width:
        raise InputError(f"image shape is {shape[0]}x{shape[1]}: expected a product of {width}, the number of features")
