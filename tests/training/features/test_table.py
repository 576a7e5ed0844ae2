"""Feature files are opened once and read at random; formats without random access are decoded once."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from aaptvae_training.features import open_features

OPENED = """
import collections, sys
from aaptvae_training.features import open_features
opened = collections.Counter()
sys.addaudithook(lambda event, facts: opened.update([str(facts[0])]) if event == "open" else None)
with open_features(sys.argv[1]) as features:
    rows = sum(len(block) for _, block in features.blocks())
    features.take(__import__("numpy").arange(3))
print(rows, max(count for path, count in opened.items() if path.startswith(sys.argv[2])))
"""


def opened(path: Path, folder: Path) -> list[int]:
    """Rows that were read, and how often the file that was opened most often was opened."""
    done = subprocess.run([sys.executable, "-c", OPENED, path, folder], capture_output=True, text=True, check=True)
    return [int(part) for part in done.stdout.split()]


def test_a_file_is_opened_once_and_shards_twice(tmp_path: Path) -> None:
    x = np.arange(60, dtype=np.float32).reshape(20, 3)
    np.save(tmp_path / "x.npy", x)
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    (tmp_path / "shards").mkdir()
    for number, part in enumerate(np.split(x, 4)):
        np.save(tmp_path / "shards" / f"{number}.npy", part)
    assert opened(tmp_path / "x.npy", tmp_path) == [20, 1]
    assert opened(tmp_path / "x.csv", tmp_path) == [20, 1]
    assert opened(tmp_path / "shards", tmp_path) == [20, 2]


def test_shards_need_few_descriptors(tmp_path: Path) -> None:
    """Of 80 files, npy or decoded ones, no more are open than are read."""
    for kind in ("npy", "csv"):
        (tmp_path / kind).mkdir()
    for number in range(80):
        x = np.full((1, 3), number, np.float32)
        np.save(tmp_path / "npy" / f"{number}.npy", x)
        np.savetxt(tmp_path / "csv" / f"{number}.csv", x, delimiter=",")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 16, hard))  # noqa: PTH208 - numbers
    try:
        for kind in ("npy", "csv"):
            with open_features(tmp_path / kind) as features:
                assert features.take(np.arange(80))[:, 0].tolist() == [*range(80)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_blocks_have_one_order_of_numbers() -> None:
    """Products of arrays in another order differ in their last digits, and so would trained weights."""
    for x in (np.ones((6, 3), np.float32), np.ones((6, 3), np.float32, order="F"), np.ones((6, 6), np.float32)[:, ::2]):
        with open_features(x) as features:
            assert features.read(1, 5).flags.c_contiguous
