"""`interpolate --steps`: from each row of a file to the next."""

from functools import partial
from typing import Any

import numpy as np

from ..files import Layout, Reading, open_rows
from ..rows import Array, as_rows
from ..tables import UNNAMED
from .job.ahead import close_without_waiting
from .job.job import Job
from .job.stream import batch_rows
from .options import load_vae, reading_of, tell


def walk_rows(steps: int, output: str, options: dict[str, Any]) -> None:
    """Write `steps` rows from each row of INPUT to the next, a batch of them at a time."""
    vae, before = load_vae(options), None
    width, path = vae.input_dim, options["path"]
    reading = Reading(
        width=width, expected=vae.columns, usual=UNNAMED, missing=vae.manifest.missing == "mean", **reading_of(options)
    )
    reader = open_rows(options["input"], format=options["format"], reading=reading)
    tell(reader.notes)

    def walk(batch: Array, first: int) -> tuple[Array]:
        nonlocal before
        batch = as_rows(vae.features(batch), width, reader.name, first)
        start = batch[:1] if before is None else before
        points = vae.interpolate(np.concatenate([start, batch[:-1]]), batch, steps, path=path)
        before = batch[-1:]
        # The first point of a segment equals the last point of the segment before.
        rows = points.reshape(-1, steps + 1, width)[:, 1:].reshape(-1, width)
        return (rows if first else rows[steps - 1 :],)

    try:
        rows = None if reader.rows is None else max(0, (reader.rows - 1) * steps + 1)
        outputs = [(output, Layout(width=width, rows=rows, columns=vae.columns or ()))]
        chosen = {key: options[key] for key in ("format", "force")}
        job = Job(verb="interpolate", outputs=outputs, total=reader.rows, **chosen)
        job.run(partial(reader.batches, max(1, batch_rows(vae) // steps)), walk)
    finally:
        close_without_waiting(reader.close)
