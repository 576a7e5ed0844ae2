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

from aaptvae_training.config import make_config
from aaptvae_training.loop import trainer
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.train_run import train

STAGES = (
    "reading",
    "training",
    "polishing",
    "metric view",
    "similarity view",
    "fitting the prior",
    "refitting",
    "evaluating",
    "writing the report",
)
KILLS, RUNS = 20, 4
OPTIONS = {"latent_dim": 3, "hidden_dim": [8], "epochs": 12, "batch_size": 32, "patience": 1.0, "precision": "fp32"}


class Telling(TrainingProgress):
    """Writes a line for every stage that begins and for every unit that is done."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def stage(self, name: str, total: int, done: int = 0) -> None:
        os.write(self.descriptor, f"{name} {total - done}\n".encode())

    def advance(self, units: int) -> None:
        os.write(self.descriptor, b"\n" * units)


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


def killed(features: Path, run: Path, aim: str, chosen: random.Random) -> tuple[str, bool]:
    """Resume, and kill when some of a stage's units are done, or of a later stage's; where, and False if it had ended."""
    pid, reading = child(features, run, resume=True)
    stage, reached, left = "", False, 0
    with os.fdopen(reading) as lines:
        for line in lines:
            if line.strip():
                stage, units = line.rsplit(maxsplit=1)
                reached = STAGES.index(stage) >= STAGES.index(aim) and int(units) > 0
                # Reading comes in one piece; after the last unit of the other stages too little would be left to hit.
                left = chosen.randrange(int(units)) if reached and stage != "reading" else 0
            else:
                left -= 1
            if reached and left <= 0:
                break
        time.sleep(chosen.uniform(0, 0.003))
        os.kill(pid, signal.SIGKILL)
    return stage, os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def undisturbed(features: Path, run: Path, resume: bool) -> None:
    """Train to the end."""
    pid, reading = child(features, run, resume)
    with os.fdopen(reading) as lines:
        lines.read()
    if os.waitpid(pid, 0)[1]:
        raise SystemExit(f"{run.name} failed, where nobody disturbed it")


def main() -> None:
    """One training in peace, several under fire, and what was done to them."""
    features, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    undisturbed(features, folder / "peace", resume=False)
    chosen, done = random.Random(seed), []  # noqa: S311 - moments, not secrets
    for number in range(KILLS):
        # Training twice as often as reading or a later stage; a run whose turn comes again goes on where it was killed.
        aim = ("training", "reading", "training", chosen.choice(STAGES[2:]))[number // RUNS % 4]
        done.append(killed(features, folder / f"fire{number % RUNS}", aim, chosen))
    for number in range(RUNS):
        undisturbed(features, folder / f"fire{number}", resume=True)
    print(json.dumps({"kills": done}))


if __name__ == "__main__":
    main()
