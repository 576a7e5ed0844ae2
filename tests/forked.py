"""Processes forked from one that has imported torch already: as real as any, and started in no time.

On Windows each imports for itself.
"""

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

HAS_FORK = "forkserver" in multiprocessing.get_all_start_methods()
PROCESSES: Any = multiprocessing.get_context("forkserver" if HAS_FORK else "spawn")
if HAS_FORK:
    PROCESSES.set_forkserver_preload(
        [
            "aaptvae_training.train_run",
            "aaptvae_training.cli",
            "aaptvae_training.report.page",
            "aaptvae_export",
            "torch._dynamo",
        ]
    )


class Done(NamedTuple):
    """Exit status of a process, and what it printed."""

    status: int
    out: str
    err: str


class Child:
    """A process that calls a function, with its streams in files."""

    def __init__(self, call: Callable[..., object], *arguments: object, environment: dict[str, str] | None = None) -> None:
        self.streams = Path(tempfile.mkdtemp())
        given = (str(self.streams), str(Path.cwd()), environment or {}, call, arguments)
        self.process = PROCESSES.Process(target=_enter, args=given)
        self.process.start()

    def wait(self) -> Done:
        """Its exit status and output, when it has ended."""
        self.process.join()
        out, err = ((self.streams / name).read_text() for name in ("out", "err"))
        shutil.rmtree(self.streams)
        return Done(self.process.exitcode, out, err)


def command(*arguments: object) -> Done:
    """The verb `aaptvae` with these arguments in a process of its own."""
    return Child(_verb, *map(str, arguments)).wait()


def script(code: str, *arguments: object) -> str:
    """Run Python code in another process with these arguments; what it printed."""
    done = Child(_run, code, *map(str, arguments)).wait()
    assert done.status == 0, done.err
    return done.out


def together(environments: Sequence[dict[str, str]], code: str, *arguments: object) -> None:
    """The same code in several processes; where one fails, the others end."""
    children = [Child(_run, code, *map(str, arguments), environment=environment) for environment in environments]
    running = {child.process.sentinel: child.process for child in children}
    while running:
        for sentinel in wait(list(running)):
            running.pop(sentinel).join()
        if any(child.process.exitcode for child in children):
            for process in running.values():
                process.kill()
    for done in [child.wait() for child in children]:
        assert done.status == 0, done.err[-3000:]


def _enter(streams: str, folder: str, environment: dict[str, str], call: Callable[..., object], arguments: list[str]) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(streams, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    call(*arguments)


def _verb(*arguments: str) -> None:
    from aaptvae.cli import app  # noqa: PLC0415 - in the child

    app.run(list(arguments))


def _run(code: str, *arguments: str) -> None:
    sys.argv[1:] = arguments
    exec(code, {"__name__": "__main__"})  # noqa: S102 - our own code
