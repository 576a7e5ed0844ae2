"""Checkpoints: one safetensors file per state, replaced atomically. Pickle is neither written nor read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from aaptvae.files.publish import publish_file
from aaptvae.rows import Array

from ..errors import RunError
from .layout import METRICS

Tensors = dict[str, Tensor]
Shapes = Mapping[str, tuple[int | None, ...]]  # by name


def write_state(path: Path, tensors: Mapping[str, Tensor | Array], facts: Mapping[str, Any] | None = None) -> None:
    """Write tensors, or arrays, and JSON `facts`; at any moment `path` is the complete old state or the complete new one."""
    data = encode_state(tensors, facts)
    with publish_file(path, force=True) as temporary:
        temporary.write_bytes(data)


def encode_state(tensors: Mapping[str, Tensor | Array], facts: Mapping[str, Any] | None = None) -> bytes:
    """Tensors, or arrays, and JSON `facts` as the bytes of a safetensors file."""
    copies = {name: _copied(value) for name, value in tensors.items()}
    return save_tensors(copies, metadata={"facts": json.dumps(facts or {})})


def _copied(value: Tensor | Array) -> Tensor:
    return torch.tensor(value) if isinstance(value, np.ndarray) else value.detach().to("cpu").contiguous().clone()


def read_state(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and facts of a state; `RunError` for a missing or damaged file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}: give a folder that aaptvae train wrote") from None
    return decode_state(data, path)


def decode_state(data: bytes, path: Path | str) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and facts of the bytes at `path`; `RunError` if they are damaged."""
    try:
        tensors = load_tensors(data)  # refuses headers whose offsets, shapes or sizes disagree with the file
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = json.loads(header.get("__metadata__", {}).get("facts", "{}"))
        if not isinstance(facts, dict):
            raise TypeError(f"its facts are a {type(facts).__name__}")
    except Exception as error:  # a damaged file can raise anything
        raise damaged(path, str(error)) from None
    return tensors, facts


def of_any_size(ranks: Mapping[str, int]) -> Shapes:
    """Shapes of arrays of which only the number of axes is known."""
    return {name: (None,) * axes for name, axes in ranks.items()}


def read_arrays(path: Path, shapes: Shapes, optional: Shapes | None = None) -> dict[str, Array]:
    """Arrays of these shapes from a state; None stands for any length. `optional` ones may be missing."""
    tensors, _ = read_state(path)
    if missing := [name for name in shapes if name not in tensors]:
        raise RunError(f"{path} has no {', '.join(missing)}: train again, or restore the file")
    present = {name: shape for name, shape in ({**shapes, **(optional or {})}).items() if name in tensors}
    for name, shape in present.items():
        found = tuple(tensors[name].shape)
        if len(found) != len(shape) or any(want not in (None, got) for want, got in zip(shape, found, strict=True)):
            raise damaged(path, f"{name} is {found}, expected {shape}")
    return {name: tensors[name].numpy() for name in present}


def damaged(path: Path | str, why: object) -> RunError:
    """The error for a file that training did not write in this form."""
    return RunError(f"{path} is damaged ({why}): train again, or restore the file")


def check_shapes(module: torch.nn.Module, tensors: Tensors, path: Path) -> None:
    """`RunError` unless names and shapes of these tensors are those of the module."""
    tensors = _with_constant(tensors)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        got = tuple(tensors[name].shape) if name in tensors else "missing"
        if got != expected.get(name):
            raise damaged(path, f"{name} is {got}, expected {expected.get(name, 'none')} by the configuration")


def load_into(module: torch.nn.Module, tensors: Tensors, path: Path) -> None:
    """Give a module exactly these tensors; `RunError` where names or shapes differ, or a value is not finite."""
    check_shapes(module, tensors, path)
    tensors = _with_constant(tensors)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise damaged(path, f"{name} is not finite")
    module.load_state_dict(tensors)


def _with_constant(tensors: Tensors) -> Tensors:
    """Weights of version 0.1.0 have no mask of constant columns: it is true where the scale is 1."""
    if "scaler.scale" not in tensors or "scaler.constant" in tensors:
        return tensors
    return tensors | {"scaler.constant": tensors["scaler.scale"] == 1}


def write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    """Write `metrics.jsonl`: one line of figures per epoch."""
    with publish_file(folder / METRICS, force=True) as temporary:
        temporary.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in history))


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The figures of every epoch."""
    try:
        return [msgspec.json.decode(line, type=dict[str, float]) for line in (folder / METRICS).read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(f"cannot read {folder / METRICS} ({error}): train again") from None
