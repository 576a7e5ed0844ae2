"""The rows of a run that its training did not use, and a sample of those that it did."""

from pathlib import Path

import numpy as np
import torch

from aaptvae.bundle.manifest import condition_dim
from aaptvae.rows import Array, Rows

from ..features import Features, Index
from .layout import HELD_OUT
from .records import read_config
from .state import damaged, read_arrays, read_state, write_state

RowId = tuple[str, ...]  # one text for each column that names rows


def write_held_out(folder: Path, test: Rows, train_sample: Rows, positions: Index, table: Features | None = None) -> None:
    """Write the raw test rows, their positions among the rows of the run, and a sample of the raw training rows.

    Of their `table`, their ids are written, and their positions in it where rows were left out for missing values.
    """
    arrays: dict[str, Array] = {"test": test, "train_sample": train_sample, "positions": positions}
    if table is not None and table.positions is not None:
        arrays["table_positions"] = table.positions[positions]
    if table is not None and table.ids is not None:
        texts = [text.encode() for row in table.ids.take(positions) for text in row]
        arrays["id_text"] = np.frombuffer(b"".join(texts), np.uint8).copy()
        arrays["id_ends"] = np.cumsum([len(text) for text in texts], dtype=np.int64)
    write_state(folder / HELD_OUT, {name: torch.from_numpy(array) for name, array in arrays.items()})


def read_held_out(folder: Path) -> tuple[Rows, Rows]:
    """The raw test rows and a sample of the raw training rows, with their conditions: [n, D + C] each."""
    config = read_config(folder)
    table = (None, config.input_dim + condition_dim(config.conditions))
    arrays = read_arrays(folder / HELD_OUT, {"test": table, "train_sample": table})
    return arrays["test"], arrays["train_sample"]


def read_positions(folder: Path) -> Index | None:
    """Positions of the test rows among the rows of the run [M]; None for an older run, which was split by `split_rows`."""
    tensors, _ = read_state(folder / HELD_OUT)
    return tensors["positions"].numpy() if "positions" in tensors else None


def read_table_positions(folder: Path) -> Index | None:
    """Positions of the test rows in the table that was read [M]; in older runs, rows left out are not counted."""
    tensors, _ = read_state(folder / HELD_OUT)
    return tensors["table_positions"].numpy() if "table_positions" in tensors else read_positions(folder)


def read_ids(folder: Path) -> list[RowId] | None:
    """Ids of the test rows, of the columns `ids` of the configuration; None for a run without."""
    names, path = read_config(folder).ids, folder / HELD_OUT
    if not names:
        return None
    arrays = read_arrays(path, {"test": (None, None), "id_text": (None,), "id_ends": (None,)})
    ends, text = arrays["id_ends"], arrays["id_text"].tobytes()
    starts = np.concatenate([[0], ends[:-1]])
    if len(ends) != len(names) * len(arrays["test"]) or (ends < starts).any() or [0, *ends][-1] != len(text):
        raise damaged(path, f"its ids are not {len(names)} for each of {len(arrays['test'])} rows")
    try:
        texts = [text[start:end].decode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    except UnicodeDecodeError as error:
        raise damaged(path, error) from None
    return [tuple(texts[cell : cell + len(names)]) for cell in range(0, len(texts), len(names))]
