"""Threads of torch during a training: one or all, whichever is faster on this machine at this moment.

The threads of torch wait for each other by spinning, many times in a step. On an idle machine of two cores a second thread
saves a fifth of the time of a large network and nothing of a small one; beside busy processes it can cost a factor of ten.
Both counts are therefore timed on the steps of the training itself, again and again. The command line also limits how long
threads of torch and numpy spin (`cli.py`).
"""

import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
from torch import Tensor, nn

from aaptvae.engine.cpus import usable_cpus

from ..model.objective import Objective
from .batches import Batches

TRIAL_STEPS = 4  # with each count of threads, after one that is not timed
JUDGED_ROWS = 2048  # of a pass over validation rows
WORTH = 0.9  # share of the time with one thread below which all threads are used
MOST_TRIALS = 0.05  # share of the time that trials may take
FIRST, LONGEST = 2.0, 60.0  # seconds between trials; doubled while the answer stays the same


@contextlib.contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Within the block torch uses this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def most_threads() -> int:
    """Threads that this process may use; torch itself does not know the quotas of a container."""
    return min(torch.get_num_threads(), usable_cpus())


def same_bits(objective: Objective, rows: Tensor, batch: int, bf16: bool) -> bool:
    """Whether a step on `batch` of these rows, and an evaluation of many, give the same bits on one thread and on all.

    The math library decides how threads share a matrix product; where it splits a sum, the last bits depend on their number.
    """
    probe = copy.deepcopy(objective)
    few, many = (rows[torch.arange(count) % len(rows)] for count in (batch, JUDGED_ROWS))
    parameters = [parameter for parameter in probe.parameters() if parameter.requires_grad]

    def results() -> list[Tensor]:
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss, *parts = probe(few, 1.0)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        given = [gradient for gradient in gradients if gradient is not None]
        with torch.no_grad():
            return [loss, *parts, nn.utils.get_total_norm(given), *given, *probe(many, 1.0), probe.squared_errors(many)]

    found = []
    for count in (1, torch.get_num_threads()):
        with on_threads(count):
            found.append(results())
    return all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def paced(batches: Batches, objective: Objective, rows: Tensor, bf16: bool) -> Batches:
    """The batches; where no bit depends on it, with the count of threads adapted between steps."""
    most = torch.get_num_threads()
    alone = batches.world.size == 1 and batches.world.device.type == "cpu"
    if most > 1 and alone and len(rows) and same_bits(objective, rows, batches.batch_size, bf16):
        torch.set_num_threads(1)  # until a trial has shown that more are faster
        return PacedBatches(batches, AdaptiveThreads(most))
    return batches


class AdaptiveThreads:
    """Times steps with one thread and with `most`, and leaves torch on the faster count until the next trial."""

    def __init__(self, most: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._most, self._clock = most, clock
        self._threads, self._wait, self._next = 1, FIRST, clock()
        self._trial: Iterator[int] | None = None

    def between(self, steps: Iterator[Tensor]) -> Iterator[Tensor]:
        """The same batches; the count of threads changes between two of them only."""
        try:
            for batch in steps:
                if self._trial is None and self._clock() >= self._next:
                    self._trial = self._timed_steps()
                if self._trial is not None and next(self._trial, None) is None:
                    self._trial = None
                yield batch
        finally:
            torch.set_num_threads(self._threads)

    def _timed_steps(self) -> Iterator[int]:
        """The count of threads of each step of a trial; a step runs between two values."""
        begun = self._clock()
        seconds: dict[int, list[float]] = {1: [], self._most: []}
        for count, times in seconds.items():
            for _ in range(1 + TRIAL_STEPS):
                torch.set_num_threads(count)
                started = self._clock()
                yield count
                times.append(self._clock() - started)
        one, all_threads = (median(times[1:]) for times in seconds.values())
        chosen = self._most if all_threads < WORTH * one else 1
        self._wait = min(2 * self._wait, LONGEST) if chosen == self._threads else FIRST
        self._threads, self._next = chosen, self._clock() + max(self._wait, (self._clock() - begun) / MOST_TRIALS)
        torch.set_num_threads(chosen)


class PacedBatches(Batches):
    """Batches between which the count of threads may change; everything else is the batches' own."""

    def __init__(self, batches: Batches, threads: AdaptiveThreads) -> None:
        self.__dict__ |= vars(batches)
        self._batches, self._threads = batches, threads

    def epoch(self, epoch: int) -> Iterator[Tensor]:
        """Every row once: `steps` batches [n, D]."""
        return self._threads.between(self._batches.epoch(epoch))
