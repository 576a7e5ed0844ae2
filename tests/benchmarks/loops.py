"""Rows per second of our training loop against the loop of every tutorial, for the same layers and objective."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from lines import Line, compare
from racing import Rival, race
from subject import WIDTHS
from torch.utils.data import DataLoader, TensorDataset

from aaptvae_training import AAPTVAE
from aaptvae_training.batches import ResidentBatches
from aaptvae_training.config import TrainConfig
from aaptvae_training.distributed import join
from aaptvae_training.trainer import Objective, Trainer

ROWS, ROUNDS = 4_096, 5
BATCHES = (128, 512)


def lines() -> Iterator[Line]:
    """An epoch of each, in turns."""
    table = torch.randn(ROWS, WIDTHS[0], generator=torch.Generator().manual_seed(0))
    for batch in BATCHES:
        with tempfile.TemporaryDirectory() as folder, join("cpu") as world:
            config = TrainConfig(latent_dim=WIDTHS[2], epochs=1_000, sigma=1.0, likelihood="gaussian", fidelity=0.0)
            batches = ResidentBatches(table, batch, 0, world)
            trainer = Trainer(Objective(_model()), batches, table[:1], config, Path(folder), world)
            ours = partial(trainer.train_epoch, lambda *_: None)
            times = race({"ours": ours, "plain": plain(table, batch)}, ROUNDS)
        yield compare(f"training, batches of {batch}: against DataLoader and Adam", times["ours"], times["plain"], "", ROWS)


def _model() -> AAPTVAE:
    torch.manual_seed(0)
    features, hidden, latents = WIDTHS
    return AAPTVAE(features, latents, (hidden,), linear_skip=True)


def plain(table: torch.Tensor, batch: int) -> Rival:
    """One epoch of the usual loop."""
    model = _model()
    loader = DataLoader(TensorDataset(table), batch_size=batch, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def epoch() -> None:
        for (x,) in loader:
            optimizer.zero_grad()
            reconstruction, mu, logvar = model(x)
            model.loss_function(reconstruction, x, mu, logvar)["loss"].backward()
            optimizer.step()

    return epoch
