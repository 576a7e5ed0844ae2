"""`interpolate --steps`: from each row of a file to the next."""

from functools import partial
from typing import Any

import numpy as np

from ..files import Batch, Layout, Reading, RowReader, open_rows
from ..interpolation import Curve
from ..rows import Array, RowError, Rows, as_rows, numbered
from ..tables import UNNAMED
from ..vae import VAE
from .job.ahead import close_without_waiting
from .job.job import Job
from .job.stream import batch_rows, refuse_same_file
from .options import load_vae, reading_of, tell


class Segments:
    """Called with batches in order: points from the last row of the batch before to the first row, and so on."""

    def __init__(self, vae: VAE, reader: RowReader, steps: int, path: Curve, condition: dict[str, str] | None) -> None:
        self._vae, self._reader, self._steps, self._path, self._condition = vae, reader, steps, path, condition
        self._before: Rows | None = None

    def __call__(self, batch: Array, first: int) -> tuple[Batch]:
        """The points [n, D] of a batch that begins at row `first`."""
        width, steps, vae = self._reader.width, self._steps, self._vae
        x = as_rows(vae.features(batch), width, self._reader.name, first, self._reader.columns)
        start = x[:1] if self._before is None else self._before
        try:
            points = vae.interpolate(np.concatenate([start, x[:-1]]), x, steps, path=self._path, condition=self._condition)
        except RowError:
            with numbered(first, self._reader.name):  # names the row of the file
                vae.embed(x, condition=self._condition)
            raise
        self._before = x[-1:]
        # The first point of a segment equals the last point of the segment before.
        rows = points.reshape(-1, steps + 1, width)[:, 1:].reshape(-1, width)
        return (Batch(rows if first else rows[steps - 1 :]),)


def walk_rows(steps: int, output: str, options: dict[str, Any]) -> None:
    """Write `steps` rows from each row of INPUT to the next, a batch of them at a time."""
    refuse_same_file(options["input"], output)
    vae = load_vae(options)
    width, fills = vae.input_dim, vae.manifest.missing == "mean"
    reading = Reading(width=width, expected=vae.columns, usual=UNNAMED, missing=fills, **reading_of(options))
    reader = open_rows(options["input"], format=options["format"], reading=reading)
    tell(reader.notes)
    try:
        rows = None if reader.rows is None else max(0, (reader.rows - 1) * steps + 1)
        outputs = [(output, Layout(width=width, rows=rows, columns=vae.columns or ()))]
        chosen = {key: options[key] for key in ("format", "force")}
        job = Job(verb="interpolate", outputs=outputs, total=reader.rows, **chosen)
        segments = Segments(vae, reader, steps, options["path"], options["condition"] or None)
        job.run(partial(reader.batches, max(1, batch_rows(vae) // steps)), segments)
    finally:
        close_without_waiting(reader.close)
