"""200,000 mixed calls from four threads: memory at the end against memory after the first tenth."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lines import Line
from subject import Subject

import aaptvae

CALLS, THREADS = 200_000, 4
LARGEST = 40  # rows of most calls; one in a thousand has fifty times as many
STATM = Path("/proc/self/statm")


def lines(subject: Subject) -> Iterator[Line]:
    """Resident megabytes, early and late."""
    if not STATM.exists():
        return
    vae = aaptvae.load(subject.path)
    x = np.random.default_rng(0).standard_normal((50 * LARGEST, vae.input_dim), dtype=np.float32)
    _calls(vae, x, CALLS // 10)
    early = resident()
    _calls(vae, x, CALLS - CALLS // 10)
    late = resident()
    yield Line(
        f"{CALLS:,} mixed calls: resident memory at the end, after a tenth",
        f"{late / 1e6:.0f} MB",
        f"{early / 1e6:.0f} MB",
        wanted="flat",
    )


def resident() -> int:
    """Bytes of this process in memory."""
    return int(STATM.read_text().split()[1]) * 4096


def _calls(vae: aaptvae.VAE, x: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", count: int) -> None:
    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for number in range(count // THREADS):
            rows = x[: int(rng.integers(0, LARGEST)) * (50 if number % 1000 == 0 else 1)]
            verb = number % 8
            if verb < 4:
                vae.embed(rows)
            elif verb < 6:
                vae.encode(rows)
            elif verb == 6:
                vae.reconstruct(rows[:8])
            else:
                vae.sample(len(rows[:4]), seed=number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
