"""Work shared among threads that wait for the next call: whoever is free takes the next piece.

Simple queues in place of a pool's futures: a call of a thousand rows is over in 2 ms, and futures took 0.1 of them.
"""

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

Job = Callable[[], None] | None  # None ends the thread that takes it
Helpers = tuple[SimpleQueue[Job], list[threading.Thread]]


class Team:
    """So many threads, the caller's among them. The others start with the first work and end with the team."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._by_process: dict[int, Helpers] = {}  # a child of a fork has no threads of its parent's

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
                    deque(remaining, 0)  # nobody begins another

        others, helped = min(self.threads, len(pieces)) - 1, None
        try:
            helped = self._ask(others, take) if others > 0 else None
            take()
        finally:
            deque(remaining, 0)  # an interrupt may come anywhere above
            if helped is not None:
                helped()
        if errors:
            raise min(errors, key=lambda pair: pair[0])[1]

    def _ask(self, others: int, take: Callable[[], None]) -> Callable[[], None]:
        """Let this many threads `take`; what is returned waits for those that began, and calls off the rest."""
        queue, threads = self._helpers()
        asked = range(min(others, len(threads)))
        places, finished = iter(asked), SimpleQueue[None]()

        def job() -> None:
            if next(places, None) is not None:  # a thread that another call kept busy may come when all is over
                take()
                finished.put(None)

        def wait() -> None:
            for _ in asked:
                if next(places, None) is None:
                    finished.get()

        for _ in asked:
            queue.put(job)
        return wait

    def _helpers(self) -> Helpers:
        found = self._by_process.get(os.getpid())
        if found is None:
            made = SimpleQueue[Job](), list[threading.Thread]()
            found = self._by_process.setdefault(os.getpid(), made)
            if found is made:  # of two callers that come at once, one starts the threads
                weakref.finalize(self, _dismiss, made)
                with contextlib.suppress(RuntimeError):  # no thread to be had: fewer hands do the same work
                    for number in range(1, self.threads):
                        thread = threading.Thread(target=_serve, args=made[:1], name=f"aaptvae-{number}", daemon=True)
                        thread.start()
                        made[1].append(thread)
        return found


def _serve(queue: SimpleQueue[Job]) -> None:
    while (job := queue.get()) is not None:
        job()
        del job  # or the rows of the last call would stay for as long as there is no next one


def _dismiss(helpers: Helpers) -> None:
    """End the threads, and not before they are out of onnxruntime: at exit its sessions are closed next."""
    queue, threads = helpers
    for _ in threads:
        queue.put(None)
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()
