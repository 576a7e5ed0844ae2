"""The number of processor threads of a training: one for small networks, all for large ones.

torch's threads wait for each other in spin loops, many times per step. On an idle machine with two cores a second thread
saves a fifth of the time of a large network and nothing of a small one; if another process is busy, it doubles the time of
both.
"""

import contextlib
from collections.abc import Iterator
from itertools import pairwise

import torch

from aaptvae.engine.cpus import usable_cpus

from ..run import RunConfig

SMALL = 150e6  # floating-point operations per step


@contextlib.contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Within the block torch uses this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_threads(config: RunConfig) -> int:
    """One thread if the steps are small, else those that the process may use (torch ignores container quotas)."""
    return 1 if step_operations(config) < SMALL else min(torch.get_num_threads(), usable_cpus())


def step_operations(config: RunConfig) -> float:
    """Multiplications and additions of one step, forward and backward."""
    options = config.train
    layers = (config.input_dim, *options.hidden_dim, options.latent_dim)
    weights = 2 * sum(a * b for a, b in pairwise(layers)) + layers[-2] * layers[-1]
    if options.linear_skip:
        weights += 2 * layers[0] * layers[-1]
    return 6.0 * weights * (options.batch_size or 1)
