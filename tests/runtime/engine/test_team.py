"""Pieces of work among threads: each done once, the earliest error kept, no thread left running."""

import gc
import threading
import time

import pytest

from aaptvae.engine.team import Team


def helpers() -> int:
    return sum(thread.name.startswith("aaptvae") for thread in threading.enumerate())


def left(before: int) -> bool:
    """True once no more helpers than `before` are there: they are told to end, not waited for."""
    deadline = time.monotonic() + 30
    while helpers() > before and time.monotonic() < deadline:
        gc.collect()  # an error and its traceback hold each other
        time.sleep(0.01)
    return helpers() <= before


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("pieces", [range(0), range(3), range(0, 1000, 10)])
def test_every_piece_is_done_once(threads: int, pieces: range) -> None:
    done: list[int] = []
    before, team = helpers(), Team(threads)
    for _ in range(2):
        done.clear()
        team.share(done.append, pieces)
        assert sorted(done) == list(pieces)
        assert helpers() < before + threads
    del team
    assert left(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_earliest_error_stops_further_pieces(threads: int) -> None:
    begun: list[int] = []
    gate = threading.Barrier(threads)

    def work(piece: int) -> None:
        begun.append(piece)
        if piece < threads:
            gate.wait(30)
            raise ValueError(piece)

    with pytest.raises(ValueError, match=r"^0$"):
        Team(threads).share(work, range(100))
    assert len(begun) <= 2 * threads


def test_an_interrupt_stops_the_helpers_too() -> None:
    def work(piece: int) -> None:
        if piece == 3:
            raise KeyboardInterrupt

    before = helpers()
    with pytest.raises(KeyboardInterrupt):
        Team(3).share(work, range(1_000_000))
    assert left(before)


def test_work_is_done_without_further_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    team = Team(4)
    for _ in range(2):
        done.clear()
        team.share(done.append, range(10))
        assert done == list(range(10))


def test_a_team_works_for_two_callers_at_once() -> None:
    team, done = Team(3), [list[int](), list[int]()]
    callers = [threading.Thread(target=team.share, args=(found.append, range(2000))) for found in done]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [sorted(found) for found in done] == [list(range(2000))] * 2
