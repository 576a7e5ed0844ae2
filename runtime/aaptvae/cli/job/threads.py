"""Reading and writing beside computing: an iterator that runs ahead, and a writer that runs behind.

Only simple queues: a signal may interrupt them anywhere and they still work, while unwinding, as no lock stays behind.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
DEPTH = 3


def release(close: Callable[[], None]) -> None:
    """Close a reader, but do not wait for a thread that waits in it for input."""
    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(0.2)


def _room(depth: int) -> SimpleQueue[None]:
    room = SimpleQueue[None]()
    for _ in range(depth):
        room.put(None)
    return room


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, a few of them made in advance by a thread; its error comes out in its place."""
    made, room = SimpleQueue[tuple[Item | None, BaseException | None]](), _room(DEPTH)

    def work() -> None:
        try:
            for item in items:
                room.get()
                made.put((item, None))
            made.put((None, StopIteration()))
        except BaseException as error:  # handed over, not handled
            made.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    while True:
        item, error = made.get()
        room.put(None)
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield item  # type: ignore[misc]


class Behind(Generic[Item]):
    """Calls `act` on each item in order, in a thread; an error comes out of the next `put` or of `wait`.

    Up to `depth` items wait before `put` does.
    """

    def __init__(self, act: Callable[[Item], None], depth: int = DEPTH) -> None:
        self._act, self._error = act, None  # type: Callable[[Item], None], BaseException | None
        self._room = _room(depth)
        self._tasks = SimpleQueue[Callable[[], None]]()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._tasks.get()()

    def _do(self, item: Item) -> None:
        try:
            if self._error is None:
                self._act(item)
        except BaseException as error:  # kept for the caller's thread
            self._error = error
        finally:
            self._room.put(None)

    def put(self, item: Item) -> None:
        """Hand over an item."""
        self._raise()
        self._room.get()
        self._tasks.put(lambda: self._do(item))

    def wait(self) -> None:
        """Until everything handed over is done."""
        done = SimpleQueue[None]()
        self._tasks.put(lambda: done.put(None))
        done.get()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
