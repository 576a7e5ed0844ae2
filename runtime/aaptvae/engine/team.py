"""A thread pool whose free threads take the next piece of work, in order."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Team:
    """`threads` threads including the caller's; the others start with the first work and end with the team."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pools: dict[int, Any] = {}  # by process: a forked child has none of its parent's threads

    def share(self, work: Callable[[int], None], pieces: Sequence[int]) -> None:
        """`work` on each of the pieces; the error of the earliest piece is raised.

        Pieces are taken in order, and none after an error.
        """
        remaining, errors = iter(pieces), list[tuple[int, BaseException]]()

        def take() -> None:
            for piece in remaining:
                try:
                    work(piece)
                except BaseException as error:  # raised again below, in the thread of the caller
                    errors.append((piece, error))
                    _drop(remaining)

        helpers: list[Any] = []
        try:
            with contextlib.suppress(RuntimeError):  # no more threads allowed: fewer do the same work
                helpers.extend(self._pool().submit(take) for _ in range(min(self.threads, len(pieces)) - 1))
            take()
        finally:
            _drop(remaining)  # also after an interrupt between two pieces
            for helper in helpers:
                if not helper.cancel():  # not started: it would find no piece left
                    helper.result()
        if errors:
            raise min(errors, key=lambda pair: pair[0])[1]

    def _pool(self) -> Any:
        pool = self._pools.get(os.getpid())
        if pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (logging and all: 5 ms of a cold start)

            pool = self._pools.setdefault(os.getpid(), ThreadPoolExecutor(self.threads - 1, "aaptvae"))
        return pool


def _drop(pieces: Iterator[int]) -> None:
    for _ in pieces:
        pass
