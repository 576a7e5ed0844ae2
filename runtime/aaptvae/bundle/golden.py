"""Golden vectors: inputs with torch's outputs, which a bundle carries and every machine can compare with its own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import BundleError
from ..rows import Arrays, Matrix, Rows
from .manifest import GOLDEN, TOLERANCE, Manifest, Precision
from .npz import read_npz

ARRAYS = {"x": 2, "mu": 2, "logvar": 2, "z": 2, "reconstruction": 2, "real_rows": 1}
CONDITIONS = {"x": "c", "z": "c_z"}  # arrays of conditions, beside x and z
_TWIN_TOLERANCE = {"fp32": 1e-2, "fp16": 2e-2, "int8": 0.25}  # relative root mean square; fp32: on accelerators
_ROWS = 1024


@dataclass(frozen=True)
class Replay:
    """Difference of one tensor from torch's, relative to the reference, and the tolerance."""

    tensor: str
    rows: int
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """True if the difference is within the tolerance (false for NaN)."""
        return self.difference <= self.tolerance

    def require(self) -> None:
        """Raise `BundleError` unless it passed."""
        if not self.passed:
            raise BundleError(
                f"{self.tensor} differs from the golden vectors by {self.difference:.2g}, {self.tolerance:.2g} allowed: the "
                "bundle or this machine's onnxruntime does not compute the trained model: run `aaptvae verify`"
            )


@dataclass(frozen=True)
class Golden:
    """`x` [n, D], `mu`, `logvar` [n, L]; `z` [m, L], `reconstruction` [m, D]; the first `real` rows are real data.

    With conditions also `c` [n, C] of x and `c_z` [m, C] of z.

    Reconstructions are compared in units of `unit` [D], because float32 rounding grows with the distance from zero.
    """

    arrays: Arrays
    real: int
    unit: Matrix

    @classmethod
    def read(cls, data: bytes, manifest: Manifest, unit: Matrix) -> "Golden":
        """The vectors of `golden.npz`; raises `BundleError` if they do not fit the manifest."""
        views = {view.name: view.dim for view in manifest.views}
        given = dict.fromkeys(CONDITIONS.values(), manifest.condition_dim) if manifest.conditions else {}
        arrays = read_npz(data, GOLDEN, ARRAYS | dict.fromkeys([*views, *given], 2))
        widths = (
            views
            | given
            | {
                "x": manifest.input_dim,
                "mu": manifest.latent_dim,
                "logvar": manifest.latent_dim,
                "z": manifest.latent_dim,
                "reconstruction": manifest.input_dim,
            }
        )
        rows = {name: len(arrays[name]) for name in widths}
        real = int(arrays["real_rows"][0]) if arrays["real_rows"].shape == (1,) else 0
        if any(
            arrays[name].shape[1:] != (width,) or arrays[name].dtype != np.float32 for name, width in widths.items()
        ) or not (
            {rows["x"]} == {rows[name] for name in ("mu", "logvar", *views)}
            and rows["z"] == rows["reconstruction"] == rows.get("c_z", rows["z"])
            and rows["x"] == rows.get("c", rows["x"])
            and 1 <= real <= rows["x"] <= _ROWS
            and 1 <= rows["z"] <= _ROWS
        ):
            raise BundleError(
                f"{GOLDEN} holds {[(name, arrays[name].shape) for name in widths]}, {real} rows real: "
                "expected float32 vectors of this bundle's widths: export it again"
            )
        return cls(arrays, real, unit)

    def replay(
        self,
        encode: Callable[[Rows, Rows | None], Iterable[Rows]],
        decode: Callable[[Rows, Rows | None], Rows],
        precision: Precision,
        on_cpu: bool = True,
        tolerance: float = TOLERANCE,
    ) -> tuple[Replay, ...]:
        """Differences of mu, logvar and reconstruction; reduced precision is compared on the real rows only.

        `encode` and `decode` take rows and their conditions, None without.
        """
        exact = precision == "fp32" and on_cpu
        count = None if exact else self.real
        x, z = self._rows("x", count), self._rows("z", count)
        posterior, reconstruction = encode(x, self._given("x", count)), decode(z, self._given("z", count))
        mu, logvar = (self._pair(name, value, 1.0) for name, value in zip(("mu", "logvar"), posterior, strict=True))
        pairs = {"mu": mu, "logvar": logvar, "reconstruction": self._pair("reconstruction", reconstruction, self.unit)}
        # For narrow posteriors (low logvar) mu is a sum with large weights, so its rounding error is larger.
        posterior = np.maximum(_sizes(mu[1]), _sizes(logvar[1]))
        sizes = {"mu": posterior, "logvar": posterior, "reconstruction": _sizes(pairs["reconstruction"][1])}
        return tuple(_compared(name, *pair, sizes[name], tolerance if exact else precision) for name, pair in pairs.items())

    def replay_view(
        self,
        name: str,
        embed: Callable[[Rows], Rows],
        precision: Precision,
        on_cpu: bool = True,
        tolerance: float = TOLERANCE,
    ) -> Replay:
        """Difference of a view of `x`, computed by a graph of this precision; rows and units as in `replay`."""
        exact = precision == "fp32" and on_cpu
        computed, expected = self._pair(name, embed(self._rows("x", None if exact else self.real)), 1.0)
        return _compared(name, computed, expected, _sizes(expected), tolerance if exact else precision)

    def _pair(self, name: str, value: Rows, unit: float | Matrix) -> tuple[Matrix, Matrix]:
        """The computed and the reference values in `unit`."""
        return np.asarray(value, np.float64) / unit, np.asarray(self._rows(name, len(value)), np.float64) / unit

    def _given(self, name: str, count: int | None) -> Rows | None:
        """Conditions of `x` or `z`, None where there are none."""
        return self._rows(CONDITIONS[name], count) if CONDITIONS[name] in self.arrays else None

    def _rows(self, name: str, count: int | None) -> Rows:
        return np.asarray(self.arrays[name][:count], np.float32)


def _sizes(reference: Matrix) -> Matrix:
    """max(1, max|reference|) of each row [n], so that a large row does not raise the tolerance of others."""
    sizes: Matrix = np.maximum(1, np.abs(reference).max(axis=1))
    return sizes


def _compared(name: str, a: Matrix, b: Matrix, sizes: Matrix, limit: float | Precision) -> Replay:
    """Difference of rows `a` from the reference `b` [n, width].

    Within a number: the largest, in `sizes` [n]. Within the limit of a precision: the root mean square, as a share of `b`'s.
    """
    if not isinstance(limit, str):
        return Replay(name, len(a), float((np.abs(a - b).max(axis=1) / sizes).max()), limit)
    typical = np.sqrt(np.square(a - b).mean() / max(np.square(b).mean(), 1e-12))
    return Replay(name, len(a), float(typical), _TWIN_TOLERANCE[limit])
