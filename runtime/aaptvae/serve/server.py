"""One worker process: it accepts connections, answers, reloads on SIGHUP and ends on SIGTERM without losing a request."""

import asyncio
import contextlib
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Sequence

from ..errors import AaptvaeError
from .answers import Answer, RequestError, refused
from .connection import Connection
from .listening import refuse_new
from .metrics import Metrics
from .polling import Polling
from .repository import Repository, ServedBundle, read_all
from .routes import Request, Routes
from .settings import Options
from .work import Threads

Say = Callable[[str], None]
_TICK = 0.25  # seconds between two looks at deadlines
_ACCEPTS = 64  # connections taken before others get their turn
_QUIET = 0.5  # seconds without a request after which a connection is closed at the end
_EMPTY = 0.02  # seconds without a new connection after which the queue of the socket is taken for empty


class Worker:
    """The state of one worker: its connections, and the bytes of requests that they hold."""

    def __init__(
        self, repository: Repository, sources: Sequence[ServedBundle], options: Options, metrics: Metrics, say: Say
    ) -> None:
        self._sources, self._options, self._say, self._metrics = sources, options, say, metrics
        self.limits = options.limits
        self._threads = Threads(options.threads, options.limits)
        self.routes = Routes(repository, options, metrics, self._threads)
        self.routes.gauges = self._gauges
        self.polling = Polling(options.busy_poll)
        self.connections: set[Connection] = set()
        self.held, self.draining, self._reloading, self._again = 0, False, False, False
        self.now = time.monotonic
        self._opening: set[Connection] = set()  # accepted, and not yet in `connections`
        self._tasks: set[asyncio.Task[None]] = set()  # that open them; the loop itself holds tasks weakly
        self._listener: socket.socket
        self._stopped: asyncio.Event
        self._parent = 0

    async def run(self, listener: socket.socket, ready: Callable[[], object]) -> None:
        """Answer until SIGTERM or SIGINT; `ready` is called when connections are accepted."""
        loop, self._stopped, self._parent = asyncio.get_running_loop(), asyncio.Event(), os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        listener.setblocking(False)
        self._listener, self._accepted = listener, 0.0
        loop.add_reader(listener.fileno(), self._accept)
        ticks = asyncio.create_task(self._tick())
        ready()
        await self._stopped.wait()
        await self._drain()
        ticks.cancel()
        self._threads.close()
        self._metrics.publish({}, {})

    # Connections.

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_ACCEPTS if self._options.workers == 1 else 1):
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptors left: connections wait in the queue of the socket
                loop.remove_reader(self._listener.fileno())
                loop.call_later(_TICK, self._listen_again)
                return
            self._accepted = self.now()
            accepted.setblocking(False)
            if len(self.connections) + len(self._opening) >= self.limits.connections:
                self._turn_away(accepted)
                continue
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self)
            self._opening.add(connection)
            task = loop.create_task(self._connect(connection, accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
        self._opening.discard(connection)

    def opened(self, connection: Connection) -> None:
        """Take a connection that can be used."""
        self._opening.discard(connection)
        self.connections.add(connection)

    def _listen_again(self) -> None:
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _turn_away(self, accepted: socket.socket) -> None:
        """Answer 503 to one connection too many, and close it."""
        error = RequestError(503, f"{self.limits.connections} connections are open: expected fewer: try again later")
        self.count(Request(b"", b"", None), 503)
        with accepted, contextlib.suppress(OSError):
            accepted.send(refused(error).packed(keep_alive=False))
            accepted.shutdown(socket.SHUT_WR)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now = self.now()
            for connection in [one for one in self.connections if one.deadline < now]:
                connection.expire()
            self._publish()
            if self._options.workers > 1 and os.getppid() != self._parent:  # nobody would end or replace this worker
                self._stopped.set()

    async def _drain(self) -> None:
        """Answer requests on open and new connections for a while, then end what is in progress."""
        self.draining = self.routes.draining = True
        await self._wait_for(self.limits.drain, lambda: False)
        refuse_new(self._listener)
        self._accepted = self.now()
        await self._wait_for(1.0, lambda: self.now() - self._accepted > _EMPTY)  # connections that clients made already
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        await self._wait_for(self.limits.grace, self._end_idle)
        for connection in list(self.connections):
            connection.expire()

    def _end_idle(self) -> bool:
        quiet = self.now() - _QUIET
        for connection in [one for one in self.connections if one.idle and one.since < quiet]:
            connection.close()
        return not (self.connections or self._opening)

    async def _wait_for(self, seconds: float, done: Callable[[], bool]) -> None:
        until = self.now() + seconds
        while not done() and self.now() < until:
            await asyncio.sleep(0.01)

    # Answers.

    def explain(self, error: BaseException) -> Answer:
        """The answer for an error; one that is not of our kind is shown with its traceback."""
        if not isinstance(error, AaptvaeError | MemoryError):
            self._say("error: " + "".join(traceback.format_exception(error)).strip())
        return refused(error)

    def count(self, request: Request, status: int, rows: int = 0, executions: int = 0) -> None:
        """Count an answered request."""
        self._metrics.count(request.key, status, rows, executions, time.perf_counter() - request.begun)

    def _publish(self) -> None:
        self._metrics.publish(self._gauges(), self.routes.repository.digests)

    def _gauges(self) -> dict[str, int]:
        return {"connections": len(self.connections), "requests_in_threads": self._threads.pending, "held_bytes": self.held}

    # Reload.

    def reload(self) -> None:
        """Read the bundles again in a thread; keep those that are served if one cannot be used."""
        self._again = self._reloading
        if not self._reloading:
            self._reloading = True
            asyncio.get_running_loop().run_in_executor(None, self._read_again).add_done_callback(self._reloaded)

    def _read_again(self) -> None:
        self.routes.repository.replace(read_all(self._sources))

    def _reloaded(self, done: "asyncio.Future[None]") -> None:
        self._reloading = False
        error = done.exception()
        self._metrics.reloaded("failed" if error else "done")
        if error is None:
            self.routes.refresh()
            self._publish()  # at once: the parent starts new workers with bundles that could be loaded
            served = ", ".join(
                f"{name} {number} {digest[:12]}" for (name, number), digest in self.routes.repository.digests.items()
            )
            self._say(f"reloaded: {served}")
        else:
            self._say(f"error: not reloaded, the bundles in memory stay: {error}")
        if self._again:
            self.reload()
