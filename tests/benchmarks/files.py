"""`aaptvae encode` of a 2 GB .npy in a process of its own: rate, memory, and whether the bytes are those of memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import children
import numpy as np
from lines import Line, compare
from racing import Times, race
from subject import Subject

import aaptvae

ROWS = 1_000_000  # of 512 float32: 2 GB
IN_MEMORY = 100_000
ROUNDS = 2
MOST = 200e6


def lines(subject: Subject) -> Iterator[Line]:
    """The job beside embed of rows in memory, in turns."""
    vae = aaptvae.load(subject.path)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "x.npy"), Path(folder, "z.npy")
        x = np.random.default_rng(0).standard_normal((IN_MEMORY, vae.input_dim), dtype=np.float32)
        _write(source, x)
        command = (children.PYTHON, "-m", "aaptvae", "encode", subject.path, source, "-o", target, "--force")
        times = race({"job": lambda: children.run(*command), "memory": lambda: vae.embed(x)}, ROUNDS)
        peak = children.peak(*command)
        same = _same(np.load(target, mmap_mode="r"), vae.embed(x))
    ours, other = times["job"], times["memory"]
    whole = Times(*([value * ROWS / IN_MEMORY for value in values] for values in (other.seconds, other.processor)))
    title = f"`aaptvae encode` of {ROWS * 2048 / 1e9:.1f} GB, {subject.form}:"
    yield compare(f"{title} against embed in memory", ours, whole, "0.8x, start included", ROWS)
    yield Line(f"{title} peak memory", f"{peak / 1e6:.0f} MB", "", wanted=f"under {MOST / 1e6:.0f} MB")
    yield Line(f"{title} the bytes of memory", "the same" if same else "DIFFERENT", "", wanted="the same")


def _write(path: Path, x: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> None:
    table = np.lib.format.open_memmap(path, "w+", np.float32, (ROWS, x.shape[1]))
    for start in range(0, ROWS, len(x)):
        table[start : start + len(x)] = x
    table.flush()


def _same(
    found: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", part: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
) -> bool:
    return found.shape == (ROWS, part.shape[1]) and all(
        np.array_equal(found[start : start + len(part)], part) for start in range(0, ROWS, len(part))
    )
