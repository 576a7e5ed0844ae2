"""Mutated feature files end in rows or in an InputError, never in anything else.

Bounded by count: AAPTVAE_FUZZ=1000000 pytest tests/runtime/files/test_any_bytes.py runs longer.
"""

import os
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from trust.mutate import anywhere

from aaptvae.errors import InputError
from aaptvae.files import Layout, open_output, open_rows

COUNT = int(os.environ.get("AAPTVAE_FUZZ", "600"))


def seeds(folder: Path, format: str) -> list[bytes]:
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    if format == "safetensors":
        header = b'{"x":{"dtype":"F32","shape":[6,4],"data_offsets":[0,96]}}'
        return [len(header).to_bytes(8, "little") + header + x.tobytes()]
    written = []
    for columns in ((), tuple("abcd")):
        with open_output(folder / f"seed.{format}", Layout(width=4, columns=columns), force=True) as writer:
            writer.write(x)
        written.append((folder / f"seed.{format}").read_bytes())
    return written


@pytest.mark.parametrize("count", [COUNT // 4, pytest.param(COUNT, marks=pytest.mark.slow)])
@pytest.mark.parametrize("format", ["npy", "npz", "csv", "jsonl", "parquet", "safetensors"])
def test_a_mutated_file_is_read_or_refused(tmp_path: Path, format: str, count: int) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    corpus, path = seeds(tmp_path, format), tmp_path / f"x.{format}"
    tracemalloc.start()
    for number in range(count // 3 if format in ("npz", "parquet") else count):
        choose = random.Random(number)  # noqa: S311 - the number reproduces the file
        path.write_bytes(anywhere(choose.choice(corpus), choose))
        width = choose.choice((None, 4))
        try:
            with open_rows(path, width=width, skip_bad=format in ("csv", "jsonl") and choose.random() < 0.5) as reader:
                for batch in reader.batches(4):
                    assert batch.shape[1] == reader.width, number
        except InputError:
            pass
        except BaseException as error:
            raise AssertionError(f"mutation {number} of {format} escaped") from error
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
