"""A bulk job over batches of rows: one thread reads, a pool computes, one thread writes, the main thread shows progress.

Each batch is computed by one thread of the pool. Several threads on one batch would all wait at its end for the slowest,
often one whose CPU the reader or the writer had used meanwhile.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from ...errors import AaptvaeError, InputError
from ...files import Batch, Layout, RowWriter, open_output
from ...files.publish import RECORD, SUFFIX, publish_file
from ..progress import Progress
from ..stop import STOP
from .ahead import DEPTH, Ahead

SAVE_SECONDS = 2.0

Results = Sequence[Batch]  # of one batch, for each output
Pending = tuple[int, Future[Results]]  # rows of a batch, and its results

Given = TypeVar("Given", bound=Sized)


class Record(msgspec.Struct):
    """Progress of a job that may be resumed: `rows` are finished and end at `positions` of the outputs.

    One copy lies beside each output.
    """

    identity: dict[str, str]
    run: str = ""  # random, per job: partial outputs of two jobs are never combined
    rows: int = 0
    positions: list[int] = []
    saved: float = 0.0
    skipped: dict[int, str] = {}  # of these rows, by number, those that are not in the outputs


class Job(msgspec.Struct, kw_only=True):
    """Outputs and options of a job. A job resumes another one only if their `identity` is equal."""

    verb: str
    outputs: list[tuple[str, Layout]]
    total: int | None = None
    format: str | None = None
    force: bool = False
    resume: bool = False
    identity: dict[str, str] = {}
    workers: int = 1
    skipped: dict[int, str] = {}  # rows that `run` has left out so far, by number: filled by `compute`
    seen: Callable[..., None] | None = None  # called with the results of each batch, in order

    def run(self, batches: Callable[[int], Iterable[Given]], compute: Callable[[Given, int], Results]) -> None:
        """Write `compute(batch, first row)` for each of `batches(first row)`: one result for each output."""
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(open_output(path, layout, format=self.format, force=self.force, keep=self.resume))
                for path, layout in self.outputs
            ]
            record = self._continued(writers) if self.resume else Record({})
            progress = stack.enter_context(contextlib.closing(Progress(self.verb, self.total, record.rows)))
            pool = ThreadPoolExecutor(self.workers)
            # Joined before the interpreter ends: it would end a thread inside onnxruntime, which then crashes.
            stack.callback(pool.shutdown, cancel_futures=True)
            pending = Ahead(_submitted(pool, compute, batches(record.rows), record.rows), self.workers + DEPTH)
            written = Ahead(self._written(pending, record, writers))
            try:
                for rows in written:
                    progress.advance(rows)
            except BaseException:
                if self.resume:
                    pending.stop()
                    self._keep(written, record, writers)
                raise
        if self.resume:
            for path in self._records:
                path.unlink(missing_ok=True)

    def _written(self, pending: Iterable[Pending], record: Record, writers: list[RowWriter]) -> Iterator[int]:
        """Write results in order; the number of rows of each batch written."""
        for rows, future in pending:
            results = future.result()
            if self.seen is not None:
                self.seen(*(result.values for result in results))
            for writer, result in zip(writers, results[: len(writers)], strict=True):  # no output: only `seen` uses them
                writer.write(result.values, result.ids)
            record.rows += rows
            if self.resume:
                record.positions = [writer.stream.tell() for writer in writers]
                if time.monotonic() - record.saved >= SAVE_SECONDS:
                    self._save(record, writers)
            yield rows

    def _keep(self, written: Iterable[int], record: Record, writers: list[RowWriter]) -> None:
        """Write the results of batches that were submitted before the job stopped, and record them."""
        STOP.allow(30.0)  # a slow disk
        with contextlib.suppress(AaptvaeError, OSError):
            for _ in written:
                pass
        with contextlib.suppress(AaptvaeError, OSError):
            self._save(record, writers)
            click.echo(f"{record.rows} rows are kept: repeat the command to continue after them", err=True)

    @property
    def _records(self) -> list[Path]:
        targets = [Path(os.path.realpath(path)) for path, _ in self.outputs]
        return [target.with_name(f".{target.name}.{RECORD}{SUFFIX}") for target in targets]

    def _save(self, record: Record, writers: list[RowWriter]) -> None:
        for writer in writers:
            writer.settle()
        record.skipped = {row: text for row, text in self.skipped.copy().items() if row < record.rows}
        for path in self._records:
            with publish_file(path, force=True) as file:
                file.write_bytes(msgspec.json.encode(record))
        record.saved = time.monotonic()

    def _continued(self, writers: list[RowWriter]) -> Record:
        """The record of the interrupted job, with the outputs cut to its positions, or a new record."""
        record = Record(self.identity, secrets.token_hex(8), 0, [writer.stream.tell() for writer in writers])
        if not any(writer.kept for writer in writers):  # a kill between publishing and removing the record
            return record
        found = []
        for path in self._records:
            with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
                found.append(msgspec.json.decode(path.read_bytes(), type=Record))
        changed = {key: 0 for each in found for key, value in self.identity.items() if each.identity.get(key) != value}
        if changed:
            raise InputError(
                f"{self.outputs[0][0]} was begun with another {' and '.join(changed)}: "
                "to start again, give --force, not --resume"
            )
        if len(found) == len(writers) == len(found[0].positions) and len({each.run for each in found}) == 1:
            record = min(found, key=lambda each: each.rows)  # a kill between saving two copies
        self.skipped.update(record.skipped)
        for writer, position in zip(writers, record.positions, strict=True):
            if not writer.resume(position, record.rows - len(record.skipped)):
                raise InputError(
                    f"rows kept for {self.outputs[0][0]} are fewer than recorded: to start again, give --force, not --resume"
                )
        return record


def _submitted(
    pool: ThreadPoolExecutor, compute: Callable[[Given, int], Results], batches: Iterable[Given], first: int
) -> Iterator[Pending]:
    """Submit each batch to the pool as it is read."""
    for batch in batches:
        yield len(batch), pool.submit(compute, batch, first)
        first += len(batch)
