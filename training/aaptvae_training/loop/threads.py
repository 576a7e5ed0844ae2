"""How many processor threads a training gets: small networks are as quick on one, and far quicker where others work too.

torch's threads wait for each other by spinning, many times a step. On an idle machine of two cores a second thread saves
a fifth of a large network's time and nothing of a small one's; beside one busy neighbour it doubles either.
"""

import contextlib
from collections.abc import Iterator
from itertools import pairwise

import torch

from aaptvae.engine.cpus import usable_cpus

from ..run.folder import RunConfig

SMALL = 150e6  # floating-point operations of a step


@contextlib.contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Let torch compute on so many threads in the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def advisable_threads(config: RunConfig) -> int:
    """Threads for this training: one if its steps are small, else what the process may use (torch knows no quotas)."""
    return 1 if step_operations(config) < SMALL else min(torch.get_num_threads(), usable_cpus())


def step_operations(config: RunConfig) -> float:
    """Multiplications and additions of one step, forward and backward."""
    options = config.train
    layers = (config.input_dim, *options.hidden_dim, options.latent_dim)
    weights = 2 * sum(a * b for a, b in pairwise(layers)) + layers[-2] * layers[-1]
    if options.linear_skip:
        weights += 2 * layers[0] * layers[-1]
    return 6.0 * weights * (options.batch_size or 1)
