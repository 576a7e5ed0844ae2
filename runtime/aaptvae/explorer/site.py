"""The files of an explorer: the page, the bundle, rows for the map, and `explorer.json`, which describes them."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundle import Bundle, Precision
from ..errors import InputError
from ..files.publish import publish_folder
from ..rows import Array, Rows, check_image_shape
from .map_rows import MapRows
from .wasm import ADDRESS, CDN, FILE, INTEGRITY, VERSION

MARKER = "explorer.json"
ROWS, CONDITIONS = "rows.npy", "conditions.npy"
_PAGE = Path(__file__).with_name("page")


@dataclass(frozen=True, kw_only=True)
class Site:
    """An explorer of `bundle`: `table` are the rows of its map (None: those that the bundle carries).

    Rows are shown as grey pictures of `image_shape` (height, width), as a `curve`, or as bars. Without `wasm` the browser
    fetches onnxruntime from a content delivery network and checks its SHA-256. `InputError` for a shape of other size.
    """

    bundle: Bundle
    table: MapRows | None = None
    image_shape: tuple[int, int] | None = None
    curve: bool = False
    wasm: bytes | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        precisions = self.bundle.manifest.precisions
        if self.precision not in precisions:
            raise InputError(
                f"precision is {self.precision!r}: expected {', '.join(precisions)}, as in this bundle: choose one"
            )
        check_image_shape(self.image_shape, self.bundle.manifest.input_dim)
        if self.table is not None:
            c, wanted = self.table.c, self.bundle.manifest.condition_dim
            if (0 if c is None else c.shape[1]) != wanted or (c is not None and len(c) != len(self.table.rows)):
                found = "none" if c is None else f"an array of shape {c.shape}"
                raise InputError(f"conditions of the map's rows are {found}: expected c [{len(self.table.rows)}, {wanted}]")

    def files(self) -> dict[str, bytes]:
        """Every file by its path below the folder."""
        files = {path.name: path.read_bytes() for path in sorted(_PAGE.iterdir()) if path.suffix in (".html", ".js", ".css")}
        files |= {f"bundle/{name}": data for name, data in self.bundle.files.items()}
        if self.table is not None:
            files[ROWS] = _npy(self.table.rows)
            if self.table.c is not None:
                files[CONDITIONS] = _npy(self.table.c)
        if self.wasm is not None:
            files[FILE] = self.wasm
            files["index.html"] = files["index.html"].replace(f" {CDN}".encode(), b"")
        return files | {MARKER: json.dumps(self._description(), indent=1).encode() + b"\n"}

    def _description(self) -> Mapping[str, object]:
        table = self.table
        labels = None if table is None or table.labels is None else {"name": table.name, "values": _plain(table.labels)}
        return {
            "bundle": "bundle",
            "sha256": self.bundle.digest,
            "precision": self.precision,
            "wasm": {"url": ADDRESS if self.wasm is None else FILE, "integrity": INTEGRITY, "version": VERSION},
            "image_shape": self.image_shape,
            "curve": self.curve,
            "rows": None if table is None else ROWS,
            "conditions": None if table is None or table.c is None else CONDITIONS,
            "labels": labels,
            "ids": None if table is None or not table.ids else [{"name": n, "values": [*v]} for n, v in table.ids.items()],
        }

    def write(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the files to a new folder; `force` replaces an older explorer."""
        with publish_folder(folder, force=force, marker=MARKER) as temporary:
            (temporary / "bundle").mkdir()
            for name, data in self.files().items():
                (temporary / name).write_bytes(data)


def _npy(rows: Rows) -> bytes:
    """Rows as the bytes of a .npy of float32."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(rows, "<f4"), allow_pickle=False)
    return stream.getvalue()


def _plain(values: Array) -> list[str | float]:
    """Numbers if all are, else text; JSON has no NaN."""
    if values.dtype.kind in "iufb" and np.isfinite(np.asarray(values, np.float64)).all():
        numbers: list[str | float] = values.tolist()
        return numbers
    text = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values.tolist()]
    try:
        floats = [float(value) for value in text]
    except ValueError:
        return [*text]
    return [*floats] if np.isfinite(floats).all() else [*text]
