"""`interpolate --steps`: from each row of a file to the next."""

from functools import partial
from typing import Any

import numpy as np

from ..files import Batch, Layout
from ..interpolation import Curve, walk
from ..rows import Rows, numbered
from ..vae import VAE
from .job.ahead import close_without_waiting
from .job.job import Job
from .job.model_input import ModelInput
from .job.stream import batch_rows, refuse_same_file
from .options import load_vae


class Segments:
    """Called with batches in order: points from the last row of the batch before to the first row, and so on.

    Conditions go straight from those of a row to those of the next, as in `VAE.interpolate`.
    """

    def __init__(self, source: ModelInput, steps: int, path: Curve) -> None:
        self._source, self._steps, self._path = source, steps, path
        self._before: tuple[Rows, Rows | None] | None = None  # latents and conditions of the last row

    def __call__(self, batch: Batch, first: int) -> tuple[Batch]:
        """The points [n, D] of a batch that begins at row `first`."""
        z, c = self._source.computed(VAE.embed, batch, first)
        steps = self._steps
        z_before, c_before = self._before or (z[:1], None if c is None else c[:1])
        points = self._walked(z_before, z, self._path)
        given = None if c is None or c_before is None else self._walked(c_before, c, "linear")
        self._before = z[-1:], None if c is None else c[-1:]
        with numbered(first, self._source.reader.name, steps):
            rows = self._source.vae.decode(points, condition=given)
        return (Batch(rows if first else rows[steps - 1 :]),)

    def _walked(self, before: Rows, rows: Rows, path: Curve) -> Rows:
        """Points from each row to the next, without the first one, which is the last of the segment before."""
        points = walk(np.concatenate([before, rows[:-1]]), rows, self._steps, path)
        return points[:, 1:].reshape(-1, rows.shape[1])


def walk_rows(steps: int, output: str, options: dict[str, Any]) -> None:
    """Write `steps` rows from each row of INPUT to the next, a batch of them at a time."""
    refuse_same_file(options["input"], output)
    vae = load_vae(options)
    source = ModelInput(vae, options)
    reader = source.reader
    try:
        rows = None if reader.rows is None else max(0, (reader.rows - 1) * steps + 1)
        outputs = [(output, Layout(width=vae.input_dim, rows=rows, columns=vae.columns or ()))]
        chosen = {key: options[key] for key in ("format", "force")}
        job = Job(verb="interpolate", outputs=outputs, total=reader.rows, **chosen)
        job.run(partial(reader.labelled, max(1, batch_rows(vae) // steps)), Segments(source, steps, options["path"]))
    finally:
        close_without_waiting(reader.close)
