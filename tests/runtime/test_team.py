"""Pieces of work among threads: each done once, the earliest error kept, nobody left running."""

import threading

import pytest

from aaptvae.team import share


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("pieces", [range(0), range(3), range(0, 1000, 10)])
def test_every_piece_is_done_once(threads: int, pieces: range) -> None:
    done: list[int] = []
    before = threading.active_count()
    share(done.append, pieces, threads)
    assert sorted(done) == list(pieces) and threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 3])
def test_the_earliest_error_is_raised_and_no_new_piece_is_begun(threads: int) -> None:
    begun: list[int] = []
    gate = threading.Barrier(threads)

    def work(piece: int) -> None:
        begun.append(piece)
        if piece < threads:
            gate.wait(30)
            raise ValueError(piece)

    with pytest.raises(ValueError, match=r"^0$"):
        share(work, range(100), threads)
    assert len(begun) <= 2 * threads


def test_an_interrupt_stops_the_helpers_too() -> None:
    def work(piece: int) -> None:
        if piece == 3:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        share(work, range(1_000_000), 3)
    assert threading.active_count() == before


def test_work_is_done_alone_where_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    share(done.append, range(10), 4)
    assert done == list(range(10))
