"""The options of a server."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of a worker: sizes in bytes, times in seconds."""

    body: int = 64 * MIB  # of a request or of the tensors of an answer
    rows: int = 1 << 16  # of a request
    queue: int = 1024  # requests that wait for a thread; `buffered` limits their bytes, `waiting` their time
    connections: int = 2048
    arrival: float = 30.0  # from the first byte of a request to its last; and to send an answer
    waiting: float = 30.0  # for a thread
    idle: float = 75.0  # between two requests of a connection
    drain: float = 1.0  # after SIGTERM, in which requests on open and new connections are still answered
    grace: float = 30.0  # for requests in progress to end after that

    @property
    def json_body(self) -> int:
        """Bytes of JSON in a request: its parser holds the interpreter's lock, about 10 ms for each MiB."""
        return min(self.body, 8 * MIB)

    @property
    def buffered(self) -> int:
        """Bytes of all requests that are arriving or waiting."""
        return 8 * self.body


@dataclass(frozen=True)
class Options:
    """How a server runs; `token` is the secret of `Authorization: Bearer`, None for no check."""

    limits: Limits = Limits()
    threads: int = 1  # that compute large requests, per worker
    workers: int = 1
    token: bytes | None = None
    busy_poll: float = 100e-6  # seconds after an answer in which the next request is looked for without sleeping
