"""One process or many: the few collective operations that training needs, each a no-op for a single process.

`torchrun --nproc-per-node 2 -m aaptvae train ...` sets the environment that `join` reads.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from aaptvae.errors import InputError

from ..errors import RunError


@dataclass(frozen=True)
class World:
    """Which of how many processes this is, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def total(self, *values: Tensor) -> list[Tensor]:
        """Sums over all processes, in float64."""
        stacked = torch.stack([value.detach().double() for value in values]).to(self.device)
        if self.size > 1:
            dist.all_reduce(stacked)
        return list(stacked)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process."""
        return flag if self.size == 1 else bool(self.total(torch.tensor(float(flag)))[0] > 0)

    def leading(self, action: Callable[[], object]) -> None:
        """Run `action` in the first process while the others wait; where it fails there, `RunError` here."""
        failed = True
        try:
            if self.leads:
                action()
            failed = False
        finally:
            if self.any(failed) and not failed:
                raise RunError("the first process has stopped and says why")

    def wait(self) -> None:
        """Let every process arrive here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join(device: str) -> Iterator[World]:
    """The processes that the launcher started, or this one alone; `InputError` when the device is not there."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = pick_device(device)
    if size == 1:
        yield World(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    # Imported later, by an optimiser or DDP, it would keep the group (as the default of functions, in cycles of frames),
    # threads and all, to the interpreter's end, where those threads now and then abort a process whose work is done.
    importlib.import_module("torch._dynamo")
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(rank, size, chosen)
    finally:
        dist.destroy_process_group()


def pick_device(device: str) -> torch.device:
    """`auto` takes a CUDA device where there is one."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda was asked for and torch sees no CUDA device: use --device cpu, or install a CUDA build")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def wants_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16: as asked, or where the hardware multiplies it natively."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
