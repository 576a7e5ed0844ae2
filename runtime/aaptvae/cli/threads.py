"""Reading and writing beside computing: an iterator that runs ahead, and a writer that runs behind."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
DEPTH = 3


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, a few of them made in advance by a thread; its error comes out in its place."""
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(DEPTH)

    def work() -> None:
        try:
            for item in items:
                made.put((item, None))
            made.put((None, StopIteration()))
        except BaseException as error:  # handed over, not handled
            made.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    while True:
        item, error = made.get()
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield item  # type: ignore[misc]


class Behind(Generic[Item]):
    """Calls `act` on each item in order, in a thread; an error comes out of the next `put` or of `wait`."""

    def __init__(self, act: Callable[[Item], None]) -> None:
        self._act, self._error = act, None  # type: Callable[[Item], None], BaseException | None
        self._items: queue.Queue[Item] = queue.Queue(DEPTH)
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            item = self._items.get()
            try:
                if self._error is None:
                    self._act(item)
            except BaseException as error:  # kept for the caller's thread
                self._error = error
            finally:
                self._items.task_done()

    def put(self, item: Item) -> None:
        """Hand over an item."""
        self._raise()
        self._items.put(item)

    def wait(self) -> None:
        """Until everything handed over is done."""
        self._items.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
