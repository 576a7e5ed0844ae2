"""Work shared among threads that live as long as one call: whoever is free takes the next piece."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence


def share(work: Callable[[int], None], pieces: Sequence[int], threads: int) -> None:
    """`work` on each of the pieces, by this thread and helpers; the error of the earliest piece is raised.

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

    helpers = [threading.Thread(target=take, daemon=True) for _ in range(threads - 1)]
    try:
        with contextlib.suppress(RuntimeError):  # no thread to be had: fewer hands do the same work
            for helper in helpers:
                helper.start()
        take()
    finally:
        _drop(remaining)  # an interrupt may come between two pieces
        for helper in helpers:
            if helper.ident is not None:
                helper.join()
    if errors:
        raise min(errors, key=lambda pair: pair[0])[1]


def _drop(pieces: Iterator[int]) -> None:
    for _ in pieces:
        pass
