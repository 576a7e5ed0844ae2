"""A daemon thread that runs an iterator ahead of its consumer.

Only `SimpleQueue` is used: a signal handler may raise inside its methods at any point and no lock stays held.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
DEPTH = 3


class Ahead(Iterator[Item], Generic[Item]):
    """The items of an iterable, computed by a daemon thread, at most `depth` of them before they are asked for.

    The iterable's error is raised in its place, and again by every later `next`.
    """

    def __init__(self, items: Iterable[Item], depth: int = DEPTH) -> None:
        self._items, self._stopped = items, False
        self._made: SimpleQueue[tuple[Item | None, BaseException | None]] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._room.put(None)
        threading.Thread(target=self._make, daemon=True).start()

    def _make(self) -> None:
        end: BaseException = StopIteration()
        try:
            for item in self._items:
                self._room.get()
                self._made.put((item, None))
                if self._stopped:
                    break
        except BaseException as error:  # raised in the consumer's thread
            end = error
        self._made.put((None, end))

    def __next__(self) -> Item:
        item, end = self._made.get()
        if end is not None:
            self._made.put((None, end))
            raise end
        self._room.put(None)
        return item  # type: ignore[return-value] # None only beside an error

    def stop(self) -> None:
        """End the iteration after the item that the thread is making."""
        self._stopped = True


def close_without_waiting(close: Callable[[], None]) -> None:
    """Close a reader; give up after 0.2 s, because another thread may be blocked in a read of it."""
    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(0.2)
