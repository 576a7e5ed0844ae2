"""Feature files are opened once and read at random; formats without random access are decoded once."""

import subprocess
import sys
from pathlib import Path

import numpy as np

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
