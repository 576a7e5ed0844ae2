"""Threads that compute large requests, behind a queue of limited length."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .answers import Answer, RequestError
from .settings import Limits


class Threads:
    """A pool whose queue refuses work when it is full, and drops work that waited too long."""

    def __init__(self, count: int, limits: Limits) -> None:
        self._pool = ThreadPoolExecutor(count, "aaptvae-serve")
        self._limits, self._count = limits, count
        self.pending = 0  # requests that run or wait

    def submit(self, work: Callable[[], Answer]) -> "asyncio.Future[Answer]":
        """The answer of `work`, later; `RequestError` 503 if the queue is full, or in the future if its turn came too late."""
        if self.pending >= self._limits.queue + self._count:
            raise RequestError(503, f"{self._limits.queue} requests wait already: expected fewer: try again later")
        late = time.monotonic() + self._limits.waiting

        def run() -> Answer:
            if time.monotonic() > late:
                raise RequestError(503, f"the request waited {self._limits.waiting:g} s for a thread: try again later")
            return work()

        self.pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, run)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: "asyncio.Future[Answer]") -> None:
        self.pending -= 1

    def close(self) -> None:
        """End the threads; work that waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
