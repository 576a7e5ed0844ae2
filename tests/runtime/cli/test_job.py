"""Batches of a job in parallel: written in order, the earliest error raised, no thread left; outputs synced in windows."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from aaptvae.cli.job.job import Job
from aaptvae.errors import InputError
from aaptvae.files import Batch, Layout, settling
from aaptvae.files.settling import SettlingFile


def job(path: Path, workers: int, seen: Callable[..., None] | None = None) -> Job:
    layout = Layout(width=2, rows=40)
    return Job(verb="encode", outputs=[(str(path), layout)], total=40, workers=workers, seen=seen)


def workers_alive() -> int:
    """Threads that the interpreter's exit would wait for."""
    return sum(not thread.daemon for thread in threading.enumerate())


def batches(start: int) -> Iterator[np.ndarray]:
    return (np.full((4, 2), i, np.float32) for i in range(start // 4, 10))


def test_two_batches_at_once_are_written_in_order(tmp_path: Path) -> None:
    meeting, seen = threading.Barrier(2, timeout=30), []

    def compute(batch: np.ndarray, first: int) -> tuple[Batch]:
        meeting.wait()  # nobody comes through alone
        return (Batch(batch + first),)

    job(tmp_path / "z.npy", 2, lambda result: seen.append(result[0, 0])).run(batches, compute)
    assert seen == [5 * i for i in range(10)]
    assert np.array_equal(np.load(tmp_path / "z.npy")[::4, 0], seen)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_earliest_error_is_raised_without_leftover_threads(tmp_path: Path, workers: int) -> None:
    later = threading.Event()

    def compute(batch: np.ndarray, first: int) -> tuple[Batch]:
        if first == 8:
            assert workers == 1 or later.wait(30)  # though another one failed before
            raise InputError("row 8")
        if first > 8:
            later.set()
            raise InputError(f"row {first}")
        return (Batch(batch),)

    before = workers_alive()
    with pytest.raises(InputError, match=r"^row 8$"):
        job(tmp_path / "z.npy", workers).run(batches, compute)
    assert not list(tmp_path.iterdir())
    assert workers_alive() == before


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A window of 1,000 bytes, and the sizes that were brought to the disk."""
    settled: list[int] = []

    def counted(descriptor: int, sync: Callable[[int], None] = os.fdatasync) -> None:
        settled.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(settling, "WINDOW", 1000)
    monkeypatch.setattr(os, "fdatasync", counted)
    return settled


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system keeps its files in memory as it likes")
def test_a_file_syncs_every_window(tmp_path: Path, small: list[int]) -> None:
    (tmp_path / "f").touch()
    with SettlingFile(tmp_path / "f", "r+b") as file:
        for i in range(100):
            file.write(bytes([i]) * 300)
    assert (tmp_path / "f").read_bytes() == b"".join(bytes([i]) * 300 for i in range(100))
    assert len(small) == 25
    assert small == sorted(small)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system keeps its files in memory as it likes")
def test_a_background_disk_error_ends_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(settling, "WINDOW", 100)
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(InputError, match=r"z.npy cannot be written: No space left on device"):
        job(tmp_path / "z.npy", 2).run(batches, lambda batch, _: (batch,))
    assert not list(tmp_path.iterdir())
