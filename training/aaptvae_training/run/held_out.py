"""The rows of a run that its training did not use, and a sample of those that it did."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from aaptvae.bundle.manifest import condition_dim
from aaptvae.rows import Array, Rows

from ..features import Features, Index
from .json_files import RunConfig
from .layout import HELD_OUT
from .state import Shapes, damaged, read_arrays, write_state

RowId = tuple[str, ...]  # one text for each column that names rows


class HeldOutRows(NamedTuple):
    """Raw rows with their conditions, [n, D + C] each: `test` rows, and a `sample` of the training rows.

    `positions` [M] of test rows are those among the rows of the run, None in an older run, which was split by `split_rows`;
    `table_positions` those in the table that was read, where older runs do not count rows left out. `ids` are the texts of
    the columns `RunConfig.ids`, None without.
    """

    test: Rows
    sample: Rows
    positions: Index | None
    table_positions: Index | None
    ids: list[RowId] | None


def write_held_out(folder: Path, test: Rows, train_sample: Rows, positions: Index, table: Features | None = None) -> None:
    """Write the raw test rows, their positions among the rows of the run, and a sample of the raw training rows.

    Of their `table`, their ids are written, and their positions in it where rows were left out for missing values.
    """
    arrays: dict[str, Array] = {"test": test, "train_sample": train_sample, "positions": positions}
    if table is not None and table.positions is not None:
        arrays["table_positions"] = table.positions[positions]
    if table is not None and table.ids is not None:
        texts = [text.encode() for row in table.ids.take(positions) for text in row]
        arrays["id_text"] = np.frombuffer(b"".join(texts), np.uint8)
        arrays["id_ends"] = np.cumsum([len(text) for text in texts], dtype=np.int64)
    write_state(folder / HELD_OUT, arrays)


def read_held_out(folder: Path, config: RunConfig) -> HeldOutRows:
    """The rows of a run with this configuration; `RunError` for a missing or damaged file."""
    path, table = folder / HELD_OUT, (None, config.input_dim + condition_dim(config.conditions))
    texts: Shapes = {"id_text": (None,), "id_ends": (None,)} if config.ids else {}
    shapes: Shapes = {"test": table, "train_sample": table, **texts}
    arrays = read_arrays(path, shapes, optional={"positions": (None,), "table_positions": (None,)})
    positions = arrays.get("positions")
    ids = _ids(arrays, len(config.ids), path) if config.ids else None
    return HeldOutRows(arrays["test"], arrays["train_sample"], positions, arrays.get("table_positions", positions), ids)


def _ids(arrays: dict[str, Array], names: int, path: Path) -> list[RowId]:
    """Ids of the test rows, of so many columns."""
    ends, text = arrays["id_ends"], arrays["id_text"].tobytes()
    starts = np.concatenate([[0], ends[:-1]])
    if len(ends) != names * len(arrays["test"]) or (ends < starts).any() or [0, *ends][-1] != len(text):
        raise damaged(path, f"its ids are not {names} for each of {len(arrays['test'])} rows")
    try:
        texts = [text[start:end].decode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    except UnicodeDecodeError as error:
        raise damaged(path, error) from None
    return [tuple(texts[cell : cell + names]) for cell in range(0, len(texts), names)]
