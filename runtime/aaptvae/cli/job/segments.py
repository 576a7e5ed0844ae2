"""The rows between consecutive rows of a file, for the verb interpolate."""

import numpy as np

from ...files import RowReader
from ...interpolation import Curve
from ...rows import Array, RowError, Rows, as_rows, numbered
from ...vae import VAE


class Segments:
    """Called with batches in order: points from the last row of the batch before to the first row, and so on."""

    def __init__(self, vae: VAE, reader: RowReader, steps: int, path: Curve) -> None:
        self._vae, self._reader, self._steps, self._path = vae, reader, steps, path
        self._before: Rows | None = None

    def __call__(self, batch: Array, first: int) -> tuple[Array]:
        """The points [n, D] of a batch that begins at row `first`."""
        width, steps, vae = self._reader.width, self._steps, self._vae
        x = as_rows(vae.features(batch), width, self._reader.name, first, self._reader.columns)
        start = x[:1] if self._before is None else self._before
        try:
            points = vae.interpolate(np.concatenate([start, x[:-1]]), x, steps, path=self._path)
        except RowError:
            with numbered(first, self._reader.name):  # names the row of the file
                vae.embed(x)
            raise
        self._before = x[-1:]
        # The first point of a segment equals the last point of the segment before.
        rows = points.reshape(-1, steps + 1, width)[:, 1:].reshape(-1, width)
        return (rows if first else rows[steps - 1 :],)
