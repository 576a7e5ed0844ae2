"""Busy polling: it goes on while requests come soon after answers, and gives way to sleep where they do not."""

import asyncio
import os
import time
from pathlib import Path

import pytest

pytest.importorskip("uvloop", reason="needs httptools and uvloop")
from serving import serving

from aaptvae.serve.polling import Polling


async def searches(polling: Polling, between: float, answers: int) -> int:
    """How many answers began a search, where nothing is found within `between` seconds."""
    begun = 0
    for _ in range(answers):
        before = polling.searching
        polling.answered()
        begun += polling.searching and not before
        await asyncio.sleep(between)
    return begun


def test_searches_that_find_nothing_become_rare() -> None:
    assert asyncio.run(searches(Polling(1e-4), 2e-3, 300)) in range(6, 11)  # pauses of 1, 3, 7, 15, 31, 63, 63, ... answers


def test_a_request_that_was_found_ends_the_pause() -> None:
    async def main() -> None:
        polling = Polling(1e-4)
        await searches(polling, 2e-3, 200)
        while not polling.searching:
            polling.answered()
        polling.found()
        await asyncio.sleep(2e-3)
        assert not polling.searching
        assert await searches(polling, 2e-3, 1) == 0  # after one search in vain
        assert await searches(polling, 2e-3, 1) == 1

    asyncio.run(main())


def test_zero_seconds_never_search() -> None:
    assert asyncio.run(searches(Polling(0.0), 0.0, 50)) == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads times of a process in /proc")
def test_a_server_sleeps_after_its_last_answer(tiny: Path, tmp_path: Path) -> None:
    with serving(tmp_path, tiny, "--busy-poll", 100_000) as server, server.client() as client:

        def used() -> float:
            fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        for _ in range(20):
            assert client.ask("GET", "/v2/health/live")[0] == 200
        time.sleep(0.3)
        before = used()
        time.sleep(0.5)
        assert used() - before < 0.2
