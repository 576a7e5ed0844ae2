"""Worker processes: started, told of signals, and replaced when one dies. One worker needs no process of its own."""

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

import uvloop

from ..bundle import Precision
from ..engine import Settings
from ..errors import AaptvaeError, BundleError
from .listening import address, allow_connections
from .metrics import Board, Metrics
from .repository import Read, Repository, ServedBundle, read_all
from .server import Say, Worker
from .settings import Options

_SOON = 1.0  # seconds: a worker that ends earlier is not replaced at once
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MOST_READ = 3  # reloads that no worker could do yet, beside the latest
_FAILED = 3  # exit status of a worker that could not load its bundles


class Server:
    """Workers that share one socket."""

    def __init__(
        self, sources: Sequence[ServedBundle], options: Options, precision: Precision, settings: Settings, say: Say
    ) -> None:
        self._sources, self._options, self._say = sources, options, say
        self._precision, self._settings = precision, settings
        self._board = Board(options.workers)
        self._processes: dict[int, tuple[int, float]] = {}  # number and start of each worker, by process
        self._bundles: Read = {}  # which new workers load: the last that a worker could load
        self._read: list[tuple[float, Read]] = []  # later bundles, with the time of their reload
        self._stopping = self._reload = False

    def run(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT; raises `AaptvaeError` if the bundles cannot be loaded."""
        self._bundles = read_all(self._sources)
        self._limit_connections()
        if self._options.workers == 1:
            self._work(0, listener, lambda: self._announce(listener))
            return
        signal.set_wakeup_fd(-1)  # the command line would end this process before the requests in progress
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        receiver, sender = os.pipe()
        for number in range(self._options.workers):
            self._start(number, listener, lambda: os.write(sender, b"."))
        self._wait_until_ready(receiver)
        self._announce(listener)
        self._watch(listener)

    def _limit_connections(self) -> None:
        limits = self._options.limits
        fitting = allow_connections(limits.connections)
        if fitting < limits.connections:
            self._say(
                f"warning: {fitting} connections for each worker instead of {limits.connections}: the system allows "
                "no more open files (ulimit -Hn)"
            )
            self._options = replace(self._options, limits=replace(limits, connections=fitting))

    def _announce(self, listener: socket.socket) -> None:
        named = zip(self._sources, self._bundles, strict=True)
        shown = ", ".join(f"{name} {version} ({source.place})" for source, (name, version) in named)
        self._say(f"serving {shown} at {address(listener)}, {self._options.workers} worker(s), process {os.getpid()}")

    def _work(self, number: int, listener: socket.socket, ready: Callable[[], object]) -> None:
        repository = Repository(self._bundles, self._precision, self._settings)
        worker = Worker(repository, self._sources, self._options, Metrics(self._board, number), self._say)
        uvloop.run(worker.run(listener, ready))

    def _start(self, number: int, listener: socket.socket, ready: Callable[[], object]) -> None:
        """Fork one worker; onnxruntime is loaded in the child only.

        Signals wait until the child has its own handlers: those of this process would signal the other workers.
        """
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            # Python 3.12 warns of threads: the one that is here waits for signals of the command line.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                process = os.fork()
            if process == 0:
                self._run_child(number, listener, ready)
            self._processes[process] = number, time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _run_child(self, number: int, listener: socket.socket, ready: Callable[[], object]) -> NoReturn:
        status = 0
        try:
            for signum in _SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._work(number, listener, ready)
        except AaptvaeError as error:
            self._say(f"error: {error}")
            status = _FAILED
        except BaseException:
            traceback.print_exc()
            status = 1
        finally:
            sys.stderr.flush()
            os._exit(status)  # the parent's exit handlers are not the child's

    def _wait_until_ready(self, receiver: int) -> None:
        os.set_blocking(receiver, False)
        ready = 0
        while ready < self._options.workers and not self._stopping:
            time.sleep(0.02)
            with contextlib.suppress(BlockingIOError):
                ready += len(os.read(receiver, 64))
            if self._reap():
                self._stop()
                self._wait_for_all()
                raise BundleError("a worker could not start: its error is above")

    def _watch(self, listener: socket.socket) -> None:
        """Replace workers that die, until told to stop; then wait for them."""
        waiting: list[tuple[float, int]] = []  # when to start which worker
        while not self._stopping:
            time.sleep(0.05)
            if self._reload:
                self._reload = False
                self._ask_to_reload()
            if self._read:
                self._take_loaded()
            for process, number, started, status in self._reap():
                self._say(f"error: worker {number} (process {process}) ended with status {status}: another is started")
                waiting.append((max(time.monotonic(), started + _SOON), number))
            for due, number in [one for one in waiting if one[0] <= time.monotonic()]:
                waiting.remove((due, number))
                self._start(number, listener, int)
        listener.close()
        self._wait_for_all()

    def _ask_to_reload(self) -> None:
        with contextlib.suppress(AaptvaeError):  # the workers say what is wrong
            self._read = [*self._read[-_MOST_READ:], (time.monotonic(), read_all(self._sources))]
        self._signal(signal.SIGHUP)

    def _take_loaded(self) -> None:
        """Start new workers with bundles that one could load; those that were started meanwhile reload."""
        figures = [self._board.read(number) for number in range(self._options.workers)]
        loaded = [one.digests for one in figures if one is not None]
        for place, (asked, bundles) in reversed(list(enumerate(self._read))):
            if {"\t".join(key): bundle.digest for key, bundle in bundles.items()} not in loaded:
                continue
            self._bundles, self._read = bundles, self._read[place + 1 :]
            for process, (_, started) in self._processes.items():
                if started > asked:
                    os.kill(process, signal.SIGHUP)
            return

    def _reap(self) -> list[tuple[int, int, float, int]]:
        """Process, number, start and exit status of every worker that ended."""
        ended = []
        for process in list(self._processes):
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                ended.append((process, *self._processes.pop(process), os.waitstatus_to_exitcode(status)))
        return ended

    def _wait_for_all(self) -> None:
        limits = self._options.limits
        until = time.monotonic() + limits.drain + limits.grace + 5
        while self._processes and time.monotonic() < until:
            self._reap()
            time.sleep(0.02)
        for process in self._processes:
            os.kill(process, signal.SIGKILL)

    def _stop(self, *_: object) -> None:
        if not self._stopping:
            self._stopping = True
            self._signal(signal.SIGTERM)

    def _hang_up(self, *_: object) -> None:
        self._reload = True

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            os.kill(process, number)
