"""A bulk job: batches in, results out, read and written while computing; kept and gone on with if it may be resumed.

Each batch is one worker's own. Threads that share a batch wait for each other at its end, and for the one that reading
or writing took the processor from.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ...errors import AaptvaeError, InputError
from ...files import Layout, RowWriter, open_output
from ...files.publish import RECORD, SUFFIX, publish_file
from ...rows import Array
from ..progress import Progress
from ..stop import STOP
from .threads import DEPTH, Behind, ahead

SAVE_SECONDS = 2.0

Results = tuple[Array, ...]
Pending = tuple[int, Callable[[], Results]]  # rows of a batch, and what waits for its results

Batch = TypeVar("Batch", bound=Sized)


class Record(msgspec.Struct):
    """How far a job came: `rows` are done and each output stands whole up to its position. One lies beside each output."""

    identity: dict[str, str]
    run: str = ""  # names the process that began it: partial outputs of two jobs never mix
    rows: int = 0
    positions: list[int] = []
    saved: float = 0.0


class Job(msgspec.Struct, kw_only=True):
    """What to write where. `identity` says, for `resume`, what makes two jobs the same."""

    verb: str
    outputs: list[tuple[str, Layout]]
    total: int | None = None
    format: str | None = None
    force: bool = False
    resume: bool = False
    identity: dict[str, str] = {}
    workers: int = 1
    seen: Callable[..., None] | None = None  # is given the results of each batch, in order

    def run(self, batches: Callable[[int], Iterable[Batch]], compute: Callable[[Batch, int], Results]) -> None:
        """Write `compute(batch, first row)` for all `batches(first row)`, one array for each output."""
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(open_output(path, layout, format=self.format, force=self.force, keep=self.resume))
                for path, layout in self.outputs
            ]
            record = self._continued(writers) if self.resume else Record({})
            progress = stack.enter_context(Progress(self.verb, self.total, record.rows))
            pool, first = ThreadPoolExecutor(self.workers), record.rows
            # Waited for: onnxruntime's C++ does not survive a thread that the interpreter ends inside of it.
            stack.callback(pool.shutdown, cancel_futures=True)
            behind = Behind[Pending](lambda item: self._write(writers, record, *item), self.workers + DEPTH)
            try:
                for batch in ahead(batches(first)):
                    behind.put((len(batch), pool.submit(compute, batch, first).result))
                    first += len(batch)
                    progress.advance(len(batch))
                behind.wait()
            except BaseException:
                self._keep(behind, record, writers)
                raise
        if self.resume:
            for path in self._records:
                path.unlink(missing_ok=True)

    def _write(self, writers: list[RowWriter], record: Record, rows: int, computed: Callable[[], Results]) -> None:
        results = computed()
        if self.seen is not None:
            self.seen(*results)
        for writer, result in zip(writers, results[: len(writers)], strict=True):  # a summary may be all that is wanted
            writer.write(result)
        record.rows += rows
        if self.resume:
            record.positions = [writer.stream.tell() for writer in writers]
            if time.monotonic() - record.saved >= SAVE_SECONDS:
                self._save(record, writers)

    def _keep(self, behind: Behind[Any], record: Record, writers: list[RowWriter]) -> None:
        """Let what is computed reach the disk before the job stops, if it may be resumed."""
        if self.resume:
            STOP.allow(30.0)  # the disk may be slow
            with contextlib.suppress(AaptvaeError, OSError):
                behind.wait()
                self._save(record, writers)
                click.echo(f"{record.rows} rows are kept: the same command goes on after them", err=True)

    @property
    def _records(self) -> list[Path]:
        targets = [Path(os.path.realpath(path)) for path, _ in self.outputs]
        return [target.with_name(f".{target.name}.{RECORD}{SUFFIX}") for target in targets]

    def _save(self, record: Record, writers: list[RowWriter]) -> None:
        for writer in writers:
            writer.settle()
        for path in self._records:
            with publish_file(path, force=True) as file:
                file.write_bytes(msgspec.json.encode(record))
        record.saved = time.monotonic()

    def _continued(self, writers: list[RowWriter]) -> Record:
        """The record of this job's earlier run, with the outputs set to where it says, or a new one."""
        record = Record(self.identity, secrets.token_hex(8), 0, [writer.stream.tell() for writer in writers])
        if not any(writer.kept for writer in writers):  # a kill may leave a record of what is published already
            return record
        found = []
        for path in self._records:
            with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
                found.append(msgspec.json.decode(path.read_bytes(), type=Record))
        changed = {key: 0 for each in found for key, value in self.identity.items() if each.identity.get(key) != value}
        if changed:
            raise InputError(
                f"{self.outputs[0][0]} was begun with another {' and '.join(changed)}: leave out --resume to begin again"
            )
        if len(found) == len(writers) == len(found[0].positions) and len({each.run for each in found}) == 1:
            record = min(found, key=lambda each: each.rows)  # a kill may come between two records
        for writer, position in zip(writers, record.positions, strict=True):
            if not writer.resume(position, record.rows):
                raise InputError(f"{self.outputs[0][0]} cannot be resumed, its rows are gone: leave out --resume")
        return record
