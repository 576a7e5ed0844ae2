"""A training alone and beside busy processes: seconds of wall and of processors.

    python tests/benchmarks/busy.py [--features FILE.npy] [--processes 4] [--epochs 6]

A fair share of C cores beside P busy processes is C / (P + 1) cores, of one core at most. The machine should be idle otherwise.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

BUSY = "while True: pass"
ROWS, COLUMNS, RANK = 8_000, 384, 100


def main() -> None:
    """Print one line for the training alone, one for it beside busy processes, and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        features = options.features or made_features(Path(folder))
        alone = seconds(features, Path(folder) / "alone", options.epochs)
        with ExitStack() as stack:
            for _ in range(options.processes):
                child = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
                stack.callback(child.kill)
            beside = seconds(features, Path(folder) / "beside", options.epochs)
    share = min(1.0, len(os.sched_getaffinity(0)) / (options.processes + 1))
    print(f"alone: {alone[0]:.1f} s, {alone[1]:.1f} s of processors")
    print(f"beside {options.processes} busy processes: {beside[0]:.1f} s, {beside[1]:.1f} s of processors")
    print(f"{beside[1] / alone[1]:.2f} times the seconds of processors (limit 1.5)")
    print(f"{beside[0] / (alone[1] / share):.2f} times the wall time of a fair share (limit 3)")


def made_features(folder: Path) -> Path:
    """Unit vectors near a subspace, as a file."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, RANK)) @ rng.standard_normal((RANK, COLUMNS)) + 3 * rng.standard_normal((ROWS, COLUMNS))
    np.save(folder / "features.npy", (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    return folder / "features.npy"


def seconds(features: Path, run: Path, epochs: int) -> tuple[float, float]:
    """Wall and processor seconds of `aaptvae train`."""
    command = [sys.executable, "-m", "aaptvae", "train", str(features), "-o", str(run), "--epochs", str(epochs)]
    command += ["--similarity", "off", "--no-refit", "--no-report"]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


if __name__ == "__main__":
    main()
