"""Trains in forked children and kills them: `python killing.py FEATURES FOLDER SEED`, one JSON line on stdout.

Nothing is computed in the parent, so that every child is forked from a process that only imported.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # optimisers import it when they are made: here once, not in every child

from aaptvae_training import trainer
from aaptvae_training.config import make_config
from aaptvae_training.fit import train
from aaptvae_training.talk import Talk

STAGES = ("reading", "training", "finishing")
KILLS, RUNS = 20, 4
OPTIONS = {"latent_dim": 3, "hidden_dim": [8], "epochs": 12, "batch_size": 32, "patience": 1.0, "precision": "fp32"}


class Telling(Talk):
    """Writes a line whenever a stage begins."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def stage(self, name: str, total: int, done: int = 0) -> None:
        os.write(self.descriptor, name.encode() + b"\n")


def child(features: Path, run: Path, resume: bool) -> tuple[int, int]:
    """Start a training; its process id, and where it tells its stages."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        return pid, reading
    status = 1
    try:
        torch.set_num_threads(1)
        trainer.SAVE_EVERY = 0.0
        train(features, run, make_config(OPTIONS), Telling(writing), resume=resume)
        status = 0
    finally:
        os._exit(status)


def stages_of(descriptor: int) -> dict[str, float]:
    """When each stage began, read until the child is done; seconds from now."""
    began, times = time.monotonic(), {}
    with os.fdopen(descriptor) as lines:
        for line in lines:
            times[line.strip()] = time.monotonic() - began
    return times | {"end": time.monotonic() - began}


def killed(features: Path, run: Path, stage: str, delay: float) -> bool:
    """Resume, and kill `delay` seconds into a stage; False if it had ended before."""
    pid, reading = child(features, run, resume=True)
    with os.fdopen(reading) as lines:
        for line in lines:
            if line.strip() == stage:
                time.sleep(delay)
                break
        os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main() -> None:
    """One training in peace, several under fire, and what was done to them."""
    features, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    pid, reading = child(features, folder / "peace", resume=False)
    times = stages_of(reading)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("the undisturbed training failed")
    lengths = {stage: times.get(after, 0) - times[stage] for stage, after in zip(STAGES, (*STAGES[1:], "end"), strict=True)}
    rng, done = random.Random(seed), []  # noqa: S311 - moments, not secrets
    for number in range(KILLS):
        # Training twice as often as reading or finishing; a run whose turn comes again goes on where it was killed.
        stage = ("training", "reading", "training", "finishing")[number // RUNS % 4]
        dead = killed(features, folder / f"fire{number % RUNS}", stage, rng.uniform(0, lengths[stage]))
        done.append([stage, dead])
    for number in range(RUNS):
        pid, reading = child(features, folder / f"fire{number}", resume=True)
        stages_of(reading)
        if os.waitpid(pid, 0)[1]:
            raise SystemExit(f"run {number} could not be resumed")
    print(json.dumps({"kills": done, "lengths": lengths}))


if __name__ == "__main__":
    main()
