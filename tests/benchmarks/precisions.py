"""int8 beside fp32, both through the runtime: rows per second by batch size, and the difference of the results."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import rivals
from lines import Line, compare
from racing import race
from subject import Subject

import aaptvae

SIZES = {1: (101, 50), 64: (101, 10), 1_024: (51, 2), 100_000: (7, 1)}  # rows: rounds, calls in each
WANTED = {1_024: "3x with VNNI", 100_000: "3x with VNNI"}
LARGE = 1_000  # rows from which results are also written to memory of the caller's


def lines(subject: Subject) -> Iterator[Line]:
    """encode at int8 against encode at fp32; one thread too, where cores are not shared."""
    x = np.resize(subject.rows, (max(SIZES), subject.rows.shape[1]))
    mine = np.zeros((2, max(SIZES), subject.model.latent_dim), np.float32)
    for threads in (None, 1):
        full, fast = (aaptvae.load(subject.path, precision=name, threads=threads) for name in ("fp32", "int8"))
        for rows, (rounds, calls) in SIZES.items():
            part, title = x[:rows], f"{rows:,} rows, {subject.form}{', 1 thread' if threads else ''}: int8 against fp32"
            for place, out in [("", None)] + [(" with out=", (mine[0][:rows], mine[1][:rows]))] * (rows > LARGE):
                times = race(
                    {"fp32": partial(full.encode, part, out=out), "int8": partial(fast.encode, part, out=out)}, rounds, calls
                )
                yield compare(title + place, times["int8"], times["fp32"], "" if threads else WANTED.get(rows, ""), rows)
    graphs = {"fp32": rivals.bare(subject, 1), "int8": rivals.bare(subject, 1, "int8"), "dynamic": rivals.dynamic(subject)}
    times = race({name: rivals.in_chunks(encode, x[:1024], 256) for name, encode in graphs.items()}, 101)
    title = f"bare graphs in 256s, {subject.form}, 1 thread:"
    yield compare(f"{title} int8 against fp32", times["int8"], times["fp32"], rows=1024)
    yield compare(f"{title} quantize_dynamic against fp32", times["dynamic"], times["fp32"], rows=1024)
    exact, close = full.embed(x[:1024]), fast.embed(x[:1024])
    error = float(np.linalg.norm(exact - close) / np.linalg.norm(exact))
    yield Line(f"{subject.form}: relative error of int8's mu", f"{error:.2%}", "")
