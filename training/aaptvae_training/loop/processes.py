"""The collective operations of a training in several processes; with one process each does nothing.

`torchrun --nproc-per-node 2 -m aaptvae train ...` sets the environment that `join` reads.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec

import torch
import torch.distributed as dist
from torch import Tensor

from aaptvae.errors import InputError

from ..errors import RunError

P = ParamSpec("P")


@dataclass(frozen=True)
class World:
    """Rank of this process, number of processes, and the device of this one."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the first process, which writes files and reports progress."""
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

    def leading(self, action: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> None:
        """Call `action` in the first process while the others wait; if it fails, the others raise `RunError`."""
        failed = True
        try:
            if self.leads:
                action(*arguments, **options)
            failed = False
        finally:
            if self.any(failed) and not failed:
                raise RunError("the first process has stopped: see its error")

    def wait(self) -> None:
        """Wait until every process has called this."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join(device: str) -> Iterator[World]:
    """The processes of torch's process group if there is one, else those that the launcher started, or this one alone.

    A group that was there stays: Ray makes one before it calls a training. No process goes on before all of them are here.
    `InputError` if there is no such device.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = pick_device(device)
    if dist.is_initialized():
        world = World(dist.get_rank(), dist.get_world_size(), chosen)
        world.wait()  # as the making of a group does: what a process looks at before must not be what another one writes after
        yield world
        return
    if size == 1:
        yield World(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    # An optimiser or DDP imports this module. If that happens after the group exists, references from the module keep the
    # group and its threads until the interpreter exits, and those threads sometimes abort the process then.
    importlib.import_module("torch._dynamo")
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(rank, size, chosen)
    finally:
        dist.destroy_process_group()


def pick_device(device: str) -> torch.device:
    """The device named `device`; "auto" is CUDA if there is a CUDA device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda and torch finds no CUDA device: use --device cpu, or install a CUDA build of torch")
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
