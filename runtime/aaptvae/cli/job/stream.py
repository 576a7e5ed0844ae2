"""From a verb's options to a bulk job over a file: outputs, identity for `--resume`, skipped lines."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import click
import numpy as np

from ...engine import onnxruntime
from ...errors import InputError
from ...files import Batch, Layout, RowReader
from ...files.opening import input_files, would_read
from ...rows import BLOCK, Array, BadRowError
from ...tables.names import latent_names, listed
from ...vae import VAE
from ..options import load_for_workers, printable, reading_of
from .ahead import close_without_waiting
from .job import Job
from .model_input import ModelInput

Compute = Callable[..., Array | tuple[Array, ...]]  # of a VAE, rows and their condition

CHUNKS = 2  # of the VAE in one batch: large enough for the file system, small enough for the cache


@dataclass(frozen=True)
class Computation:
    """Computes a verb's results of each batch; the first columns that pass through, `kept`, go to the output.

    Bad rows are refused, or, where `skipped` is a mapping, left out and noted there by number.
    """

    compute: Compute
    source: ModelInput
    kept: int
    skipped: dict[int, str] | None = None

    def __call__(self, batch: Batch, first: int) -> tuple[Batch, ...]:
        """The results of a batch whose first row has this number.

        A copy of a good row takes the place of each bad row while the batch is computed, so that the good rows keep their
        places in it, on which their last bits depend.
        """
        if self.skipped is None:
            return self._results(batch, first)
        if batch.problems is None:
            with contextlib.suppress(BadRowError):
                return self._results(batch, first)
        bad = dict(self._bad_rows(batch, first))
        self.skipped.update({first + row: text for row, text in bad.items()})
        good = np.array([row for row in range(len(batch)) if row not in bad], np.int64)
        places = np.arange(len(batch))
        places[[*bad]] = good[0] if len(good) else 0
        results = self._results(batch[places] if len(good) else batch[:0], first)
        return tuple(result[good] for result in results)

    def _bad_rows(self, batch: Batch, first: int) -> Iterator[tuple[int, str]]:
        """Bad rows of a batch with their problems, found by halving."""
        try:
            if batch.problems is None or not any(batch.problems):
                self._results(batch, first)
                return
        except BadRowError as error:
            if len(batch) == 1:
                yield 0, str(error)
        if len(batch) == 1 and batch.problems is not None and batch.problems[0]:
            yield 0, batch.problems[0]
        half = len(batch) // 2
        if half:
            yield from self._bad_rows(batch[:half], first)
            yield from ((half + row, text) for row, text in self._bad_rows(batch[half:], first + half))

    def _results(self, batch: Batch, first: int) -> tuple[Batch, ...]:
        computed, _ = self.source.computed(self.compute, batch, first)
        parts = computed if isinstance(computed, tuple) else (computed,)
        return tuple(Batch(part, batch.ids[: self.kept]) for part in parts)


def run_rows(
    verb: str,
    compute: Compute,
    outputs: Sequence[str],
    options: dict[str, Any],
    columns: tuple[str, ...] = (),
    seen: Callable[..., None] | None = None,
) -> int:
    """Write `compute(vae, rows, condition=...)` for the rows of INPUT; 1 if some were skipped, which stderr then lists.

    Named `columns` are float64; without them, an output has the width of latents (encode) or of features.
    """
    view = options.get("view", "mu")
    refuse_same_file(options["input"], *outputs)
    vae, workers = load_for_workers(options)
    skipped: dict[int, str] | None = {} if options["on_bad_row"] == "skip" else None
    source = ModelInput(vae, options, latents=view if verb == "decode" else None, skip_bad=skipped is not None)
    reader, computation = source.reader, Computation(compute, source, len(options["id"]), skipped)
    try:
        layout = _layout(vae, verb, reader, columns, view, computation.kept)
        layout = layout if skipped is None else replace(layout, rows=None)
        job = Job(
            verb=verb,
            outputs=[(output, layout) for output in outputs],
            total=reader.rows,
            **{key: options[key] for key in ("format", "force", "resume")},
            identity=_identity(verb, vae, options, outputs) if options["resume"] else {},
            workers=workers,
            skipped={} if skipped is None else skipped,
            seen=seen,
        )
        job.run(partial(reader.labelled, batch_rows(vae)), computation)
    finally:
        close_without_waiting(reader.close)
    return _report_skipped([*reader.bad, *(text for _, text in sorted((skipped or {}).items()))])


def _report_skipped(lines: Sequence[str]) -> int:
    for line in lines:
        click.echo(printable(f"skipped: {line}"), err=True)
    if lines:
        click.echo(f"skipped {len(lines):,} row{'s' * (len(lines) > 1)}", err=True)
    return 1 if lines else 0


def _layout(vae: VAE, verb: str, reader: RowReader, columns: tuple[str, ...], view: str, kept: int) -> Layout:
    """Numbers are named where the bundle names its features or `kept` columns pass through, in formats that hold names."""
    ids = reader.ids[:kept]
    named = vae.columns is not None or bool(ids or columns)
    names = columns or (latent_names(vae.views.width(view)) if verb == "encode" else feature_names(vae))
    if clash := set(ids) & set(names):
        raise InputError(f"--id names {listed(sorted(clash))}, which {verb} writes itself: rename it in {reader.name}")
    dtype = np.float64 if columns else np.float32
    layout = Layout(width=len(names), rows=reader.rows, columns=names if named else (), dtype=dtype)
    return replace(layout, ids=ids, id_types=reader.id_types[:kept])


def feature_names(vae: VAE) -> tuple[str, ...]:
    """The names that the model was trained with, else x0, x1, ..."""
    return vae.columns or tuple(f"x{index}" for index in range(vae.input_dim))


def refuse_same_file(source: str, *outputs: str) -> None:
    """Raise `InputError` if two of these paths are the same file, or an output would be read as part of `source` next time."""
    seen = {os.path.realpath(source)} if source != "-" else set()
    for path in outputs:
        place = path if path == "-" else os.path.realpath(path)
        if place in seen:
            raise InputError(f"{path} is named twice: give every input and output a file of its own")
        if "-" not in (path, source) and source and would_read(source, path):
            raise InputError(f"{path} would be one of the files of {source}, which are all read: write it to another folder")
        seen.add(place)


def batch_rows(vae: VAE) -> int:
    """Rows of a batch: whole blocks, so that results do not depend on where a batch begins."""
    return -(-vae.batch_size * CHUNKS // BLOCK) * BLOCK


def _identity(verb: str, vae: VAE, options: dict[str, Any], outputs: Sequence[str]) -> dict[str, str]:
    """Everything that the bytes of the outputs depend on."""
    path, view = options["input"], options.get("view", "mu")
    if path == "-":
        raise InputError("stdin cannot be read again: --resume needs a file as INPUT")
    files = input_files(path)
    kinds = {stat.S_IFMT(os.stat(name).st_mode) for name in files}  # noqa: PTH116
    if kinds - {stat.S_IFREG, stat.S_IFDIR}:
        raise InputError(f"{path} holds pipes or devices, which cannot be read again: --resume needs regular files")
    facts = [(os.path.realpath(name), os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in files]  # noqa: PTH116
    return {
        "verb": verb,
        "input": str(facts),
        "list of outputs": str([os.path.realpath(name) for name in outputs]),
        "options": str([*(options[key] for key in ("format", "on_bad_row", "condition")), view, reading_of(options)]),
        **same_bundle(vae),
    }


def same_bundle(vae: VAE) -> dict[str, str]:
    """Everything that the results of a loaded bundle depend on."""
    return {
        "bundle": f"{vae.digest} {vae.precision} {vae.providers} {vae.batch_size}",
        "version": f"{version('aaptvae')} {onnxruntime().__version__} {np.__version__}",
    }
