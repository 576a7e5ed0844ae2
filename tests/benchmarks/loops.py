"""Rows per second of our training loop against the loop of every tutorial, for the same layers and objective.

Each runs in a process of its own, as users run them: what one tells the C library about memory does not help the other.

    python tests/benchmarks/loops.py KIND BATCH    one epoch, answered by a line, for every line on stdin
"""

import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import children
import torch
from lines import Line, compare
from racing import Rival, race
from torch.utils.data import DataLoader, TensorDataset

from aaptvae_training import AAPTVAE
from aaptvae_training.config import TrainConfig
from aaptvae_training.loop.batches import ResidentBatches
from aaptvae_training.loop.malloc import freed_memory_kept
from aaptvae_training.loop.processes import join
from aaptvae_training.loop.trainer import Trainer
from aaptvae_training.model.objective import Objective

FEATURES, HIDDEN, LATENTS = 512, 400, 256
ROWS, ROUNDS = 4_096, 9
BATCHES = (128, 512)


def lines() -> Iterator[Line]:
    """An epoch of each, in turns."""
    for batch in BATCHES:
        with ExitStack() as stack:
            rivals = {kind: stack.enter_context(_process(kind, batch)) for kind in KINDS}
            times = race(rivals, ROUNDS)
        title = f"training, batches of {batch}: against DataLoader and Adam"
        line = compare(title, times["ours"], times["plain"], "1.5x", ROWS)
        yield dataclasses.replace(line, cpu=None)  # of other processes, which nobody measured


@contextmanager
def _process(kind: str, batch: int) -> Iterator[Rival]:
    command = [children.PYTHON, __file__, kind, str(batch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        asked, answers = child.stdin, child.stdout
        assert asked and answers

        def epoch() -> None:
            asked.write("epoch\n")
            if answers.readline() != "done\n":
                raise RuntimeError(f"the {kind} loop ended: see above")

        yield epoch
        asked.close()


def ours(table: torch.Tensor, batch: int, run: Callable[[Rival], None]) -> None:
    """The trainer's own epoch."""
    with tempfile.TemporaryDirectory() as folder, join("cpu") as world:
        config = TrainConfig(latent_dim=LATENTS, epochs=1_000, sigma=1.0, likelihood="gaussian", fidelity=0.0)
        batches = ResidentBatches(table, batch, 0, world)
        trainer = Trainer(Objective(_model()), batches, table[:1], config, Path(folder), world)
        with freed_memory_kept():
            run(lambda: trainer.train_epoch(lambda *_: None))


def plain(table: torch.Tensor, batch: int, run: Callable[[Rival], None]) -> None:
    """The usual loop."""
    model = _model()
    loader = DataLoader(TensorDataset(table), batch_size=batch, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def epoch() -> None:
        for (x,) in loader:
            optimizer.zero_grad()
            reconstruction, mu, logvar = model(x)
            model.loss_function(reconstruction, x, mu, logvar)["loss"].backward()
            optimizer.step()

    run(epoch)


def _model() -> AAPTVAE:
    torch.manual_seed(0)
    return AAPTVAE(FEATURES, LATENTS, (HIDDEN,), linear_skip=True)


def _answer(epoch: Rival) -> None:
    for _ in sys.stdin:
        epoch()
        print("done", flush=True)


KINDS = {"ours": ours, "plain": plain}

if __name__ == "__main__":
    table = torch.randn(ROWS, FEATURES, generator=torch.Generator().manual_seed(0))
    KINDS[sys.argv[1]](table, int(sys.argv[2]), _answer)
