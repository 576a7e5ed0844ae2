"""From a verb's options to a bulk job over a file: reader, outputs, identity for `--resume`, skipped lines."""

import glob
import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...engine import onnxruntime
from ...errors import InputError
from ...files import Layout, open_rows
from ...rows import BLOCK, Array, Rows, as_rows
from ...vae import VAE
from ..options import load_for_workers, printable
from .job import Job, Results
from .threads import close_without_waiting

CHUNKS = 2  # of the VAE in one batch: large enough for the file system, small enough for the cache


def run_rows(
    verb: str,
    compute: Callable[[VAE, Rows], Array | Results],
    outputs: Sequence[str],
    options: dict[str, Any],
    columns: tuple[str, ...] = (),
    seen: Callable[..., None] | None = None,
) -> int:
    """Write `compute(vae, rows)` for the rows of INPUT to `outputs`; 1 if lines were skipped, which stderr then lists.

    Named `columns` are float64; without them, an output has the width of latents (encode) or of features.
    """
    view = options.get("view", "mu")
    refuse_same_file(options["input"], *outputs)
    vae, workers = load_for_workers(options)
    width = vae.views.width(view) if verb == "decode" else vae.input_dim
    skip = options["on_bad_row"] == "skip"
    reader = open_rows(options["input"], format=options["format"], width=width, skip_bad=skip)

    def results(batch: Array, first: int) -> Results:
        computed = compute(vae, as_rows(batch, width, reader.name, first))
        return computed if isinstance(computed, tuple) else (computed,)

    try:
        layout = _layout(vae.views.width(view) if verb == "encode" else vae.input_dim, reader.rows, columns)
        job = Job(
            verb=verb,
            outputs=[(output, layout) for output in outputs],
            total=reader.rows,
            format=options["format"],
            force=options["force"],
            resume=options["resume"],
            identity=_identity(verb, vae, options, outputs) if options["resume"] else {},
            workers=workers,
            seen=seen,
        )
        job.run(partial(reader.batches, batch_rows(vae)), results)
    finally:
        close_without_waiting(reader.close)
    return _report_skipped(reader.bad)


def _report_skipped(lines: Sequence[str]) -> int:
    for line in lines:
        click.echo(printable(f"skipped: {line}"), err=True)
    return 1 if lines else 0


def _layout(width: int, rows: int | None, columns: tuple[str, ...]) -> Layout:
    if columns:
        return Layout(width=len(columns), rows=rows, columns=columns, dtype=np.float64)
    return Layout(width=width, rows=rows)


def refuse_same_file(source: str, *outputs: str) -> None:
    """Raise `InputError` if two of these paths are the same file: an output would overwrite it."""
    seen = {os.path.realpath(source)} if source != "-" else set()
    for path in outputs:
        place = path if path == "-" else os.path.realpath(path)
        if place in seen:
            raise InputError(f"{path} is named twice: give every input and output a file of its own")
        seen.add(place)


def batch_rows(vae: VAE) -> int:
    """Rows of a batch: whole blocks, so that results do not depend on where a batch begins."""
    return -(-vae.batch_size * CHUNKS // BLOCK) * BLOCK


def _identity(verb: str, vae: VAE, options: dict[str, Any], outputs: Sequence[str]) -> dict[str, str]:
    """Everything that the bytes of the outputs depend on."""
    path = options["input"]
    if path == "-":
        raise InputError("stdin cannot be read again: --resume needs a file as INPUT")
    folder = Path(path)
    files = sorted(map(str, folder.iterdir())) if folder.is_dir() else sorted(glob.glob(path)) or [path]  # noqa: PTH207
    kinds = {stat.S_IFMT(os.stat(name).st_mode) for name in files}  # noqa: PTH116
    if kinds - {stat.S_IFREG, stat.S_IFDIR}:
        raise InputError(f"{path} holds pipes or devices, which cannot be read again: --resume needs regular files")
    facts = [(os.path.realpath(name), os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in files]  # noqa: PTH116
    return {
        "verb": verb,
        "input": str(facts),
        "list of outputs": str([os.path.realpath(name) for name in outputs]),
        "options": str([options["format"], options["on_bad_row"], options.get("view", "mu")]),
        **same_bundle(vae),
    }


def same_bundle(vae: VAE) -> dict[str, str]:
    """Everything that the results of a loaded bundle depend on."""
    return {
        "bundle": f"{vae.digest} {vae.precision} {vae.providers} {vae.batch_size}",
        "version": f"{version('aaptvae')} {onnxruntime().__version__} {np.__version__}",
    }
