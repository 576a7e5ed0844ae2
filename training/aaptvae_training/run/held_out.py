"""The rows of a run that its training did not use, and a sample of those that it did."""

from pathlib import Path

import torch

from aaptvae.bundle.manifest import condition_dim
from aaptvae.rows import Rows

from ..features import Index
from .layout import HELD_OUT
from .records import read_config
from .state import read_arrays, read_state, write_state


def write_held_out(folder: Path, test: Rows, train_sample: Rows, positions: Index) -> None:
    """Write the raw test rows, their positions in the table, and a sample of the raw training rows."""
    arrays = {"test": test, "train_sample": train_sample, "positions": positions}
    write_state(folder / HELD_OUT, {name: torch.from_numpy(array) for name, array in arrays.items()})


def read_held_out(folder: Path) -> tuple[Rows, Rows]:
    """The raw test rows and a sample of the raw training rows, with their conditions: [n, D + C] each."""
    config = read_config(folder)
    table = (None, config.input_dim + condition_dim(config.conditions))
    arrays = read_arrays(folder / HELD_OUT, {"test": table, "train_sample": table})
    return arrays["test"], arrays["train_sample"]


def read_positions(folder: Path) -> Index | None:
    """Positions of the test rows in the table [M]; None for a run of before, whose split was `split_rows`."""
    tensors, _ = read_state(folder / HELD_OUT)
    return tensors["positions"].numpy() if "positions" in tensors else None
