"""Latency and throughput of a bundle on this machine, measured in turns with a bare onnxruntime session."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .bundle.graph_specs import CONDITION
from .bundle.manifest import Precision, graph_file
from .bundle.reading import read_bundle
from .bundle.sources import Place
from .engine.cpus import usable_cpus
from .engine.network import Settings, open_session
from .vae import VAE

BATCHES = (1, 64, 512, 4096, 32768)
_ROWS = 100_000  # rows per batch size, in 5 to 1,000 calls


@dataclass(frozen=True)
class Timing:
    """`encode` of one batch size at one precision: microseconds per call, for a `VAE` and a bare session."""

    precision: Precision
    rows: int
    calls: int
    p50: float
    p99: float
    bare_p50: float
    bare_p99: float

    @property
    def rows_per_second(self) -> float:
        """Of the `VAE`, at its median call."""
        return self.rows / self.p50 * 1e6

    @property
    def bare_rows_per_second(self) -> float:
        """Of the bare session, at its median call."""
        return self.rows / self.bare_p50 * 1e6


def bench(
    path: Place,
    *,
    precisions: Sequence[Precision] | None = None,
    threads: int | None = None,
    batches: Sequence[int] = BATCHES,
) -> list[Timing]:
    """One `Timing` per precision and batch size; raises as `load` does."""
    bundle, settings = read_bundle(path), Settings(threads=threads)
    x = np.random.default_rng(0).standard_normal((max(batches), bundle.manifest.input_dim), dtype=np.float32)
    timings = []
    for precision in precisions or bundle.manifest.precisions:
        vae = VAE(bundle, precision, settings)
        graph = bundle.files[graph_file("encoder", precision)]
        session = open_session(graph, precision, threads or usable_cpus(), settings)
        for rows in batches:
            part, calls, width = x[:rows], min(1000, max(5, _ROWS // rows)), bundle.manifest.condition_dim
            c = np.zeros((rows, width), np.float32) if width else None
            fed = {"x": part} if c is None else {"x": part, CONDITION: c}
            encode = partial(vae.encode, part) if c is None else partial(vae.encode, part, condition=c)
            times = _race(encode, partial(session.run, ("mu", "logvar"), fed), calls)
            timings.append(Timing(precision, rows, calls, *times))
    return timings


def _race(a: Callable[[], object], b: Callable[[], object], calls: int) -> tuple[float, float, float, float]:
    """p50 and p99 of `a`, then of `b`, in microseconds, called in turns after a warm-up."""
    times = np.empty((2, calls + 3))
    for call in range(calls + 3):
        for which, function in enumerate((a, b)):
            start = time.perf_counter()
            function()
            times[which, call] = time.perf_counter() - start
    (a50, b50), (a99, b99) = np.percentile(times[:, 3:] * 1e6, [50, 99], axis=1).tolist()
    return a50, a99, b50, b99
