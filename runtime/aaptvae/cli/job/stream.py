"""From a verb's options to a bulk job over a file: reader, outputs, what makes the job the same, skipped lines."""

import glob
import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...engine.network import onnxruntime
from ...errors import InputError
from ...files import Layout, RowReader, open_rows
from ...rows import BLOCK, Array
from ...vae import VAE
from ..options import load_for_workers, printable
from .job import Job, Results
from .threads import release

CHUNKS = 2  # of the VAE at a time: large enough for the file system, small enough for the cache


def run_rows(
    verb: str,
    options: dict[str, Any],
    outputs: dict[str, dict[str, Any]],
    compute: Callable[[VAE, Array], Results],
    seen: Callable[..., None] | None = None,
) -> int:
    """Stream INPUT through `compute` to `outputs` (path to layout); 1 if lines were skipped, listed on stderr."""
    refuse_same_file(options["input"], *outputs)
    vae, workers = load_for_workers(options)
    path, width = options["input"], vae.latent_dim if verb == "decode" else vae.input_dim
    reader = open_rows(path, format=options["format"], width=width, skip_bad=options["on_bad_row"] == "skip")
    try:
        layouts = [
            (name, Layout(**{"width": vae.latent_dim if verb == "encode" else vae.input_dim, "rows": reader.rows} | layout))
            for name, layout in outputs.items()
        ]
        identity = _identity(verb, vae, options, outputs) if options["resume"] else {}
        job = Job(
            verb=verb,
            outputs=layouts,
            total=reader.rows,
            format=options["format"],
            force=options["force"],
            resume=options["resume"],
            identity=identity,
            workers=workers,
            seen=seen,
        )
        job.run(lambda start: reader.batches(batch_rows(vae), start), placed(reader, lambda batch, _: compute(vae, batch)))
        bad: list[str] = getattr(reader, "bad", [])
    finally:
        release(reader.close)
    for line in bad:
        click.echo(printable(f"skipped: {line}"), err=True)
    return 1 if bad else 0


def refuse_same_file(source: str, *outputs: str) -> None:
    """`InputError` if two of these are one file: a result must not eat its source, nor another result."""
    seen = {os.path.realpath(source)} if source != "-" else set()
    for path in outputs:
        place = path if path == "-" else os.path.realpath(path)
        if place in seen:
            raise InputError(f"{path} is named twice: give every input and output a place of its own")
        seen.add(place)


def batch_rows(vae: VAE) -> int:
    """Rows to handle at once: whole blocks, so that results do not depend on where a batch begins."""
    return -(-vae.batch_size * CHUNKS // BLOCK) * BLOCK


def placed(reader: RowReader, compute: Callable[[Array, int], Results]) -> Callable[[Array, int], Results]:
    """`compute`, whose complaint about a number that is not finite names the row in the file, not in the batch."""

    def explained(batch: Array, first: int) -> Results:
        try:
            return compute(batch, first)
        except InputError as error:
            with np.errstate(over="ignore"):
                bad = np.argwhere(~np.isfinite(batch.astype(np.float32)))
            if not len(bad):
                raise
            row, column = bad[0].tolist()
            raise InputError(
                f"{reader.name} has {batch[row, column]} at row {first + row}, column {column}: expected "
                "finite float32 numbers: drop the row or fill in the value"
            ) from error

    return explained


def _identity(verb: str, vae: VAE, options: dict[str, Any], outputs: Iterable[str]) -> dict[str, str]:
    """All that the bytes of the result depend on."""
    path = options["input"]
    if path == "-":
        raise InputError("stdin cannot be read again from where it stopped: --resume needs a file as INPUT")
    folder = Path(path)
    files = sorted(map(str, folder.iterdir())) if folder.is_dir() else sorted(glob.glob(path)) or [path]  # noqa: PTH207
    facts = [(os.path.realpath(name), os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in files]  # noqa: PTH116
    return {
        "verb": verb,
        "input": str(facts),
        "list of outputs": str([os.path.realpath(name) for name in outputs]),
        "options": str([options["format"], options["on_bad_row"]]),
        **same_bundle(vae),
    }


def same_bundle(vae: VAE) -> dict[str, str]:
    """What makes two loaded bundles compute the same bytes."""
    return {
        "bundle": f"{vae.digest} {vae.precision} {vae.providers} {vae.batch_size}",
        "version": f"{version('aaptvae')} {onnxruntime().__version__} {np.__version__}",
    }
