"""State of a training on disk: one safetensors file per state, replaced in one step. Pickle is never written nor read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from aaptvae.files.publish import publish_file

from ..errors import RunError
from .layout import METRICS

MAX_HEADER = 16 << 20
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

Tensors = dict[str, Tensor]


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write tensors, and plain facts beside them, so that `path` is always the old state or the new one, whole."""
    copies = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    data = save_tensors(copies, metadata={"facts": json.dumps(facts or {})})
    with publish_file(path, force=True) as temporary:
        temporary.write_bytes(data)


def read_state(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and facts of a state; `RunError` for a file that is missing, damaged or lies about its sizes."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}: give a folder that aaptvae train wrote") from None
    header = _header(path, data)
    try:
        facts = json.loads(header.get("__metadata__", {}).get("facts", "{}"))
        if not isinstance(facts, dict):
            raise TypeError(f"its facts are a {type(facts).__name__}")
        return load_tensors(data), facts
    except Exception as error:  # the parser meets damaged files, whatever it raises
        raise damaged(path, str(error)) from None


def _header(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON header, once every tensor's declared bytes are inside the file."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(MAX_HEADER, len(data) - 8):
        raise damaged(path, f"{len(data)} bytes cannot hold a header of {size}")
    try:
        header = json.loads(data[8 : 8 + size])
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                needed = math.prod(entry["shape"]) * ITEM_BYTES[entry["dtype"]]
                if not 0 <= begin <= end <= len(data) - 8 - size or end - begin != needed:
                    raise damaged(path, f"tensor {name} declares {needed} bytes at {begin}..{end}")
        return dict(header)
    except RunError:
        raise
    except Exception as error:
        raise damaged(path, str(error)) from None


def damaged(path: Path, why: object) -> RunError:
    """What to raise for a file that is not what training wrote."""
    return RunError(f"{path} is damaged ({why}): train again, or restore the file")


def check_shapes(module: torch.nn.Module, tensors: Tensors, path: Path) -> None:
    """`RunError` unless these are tensors of the module's names and shapes."""
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        got = tuple(tensors[name].shape) if name in tensors else "missing"
        if got != expected.get(name):
            raise damaged(path, f"{name} is {got}, expected {expected.get(name, 'none')} by the configuration")


def load_into(module: torch.nn.Module, tensors: Tensors, path: Path) -> None:
    """Give a module exactly these tensors; `RunError` where names or shapes differ, or a value is not finite."""
    check_shapes(module, tensors, path)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise damaged(path, f"{name} is not finite")
    module.load_state_dict(tensors)


def write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    """`metrics.jsonl`: one line of figures an epoch."""
    with publish_file(folder / METRICS, force=True) as temporary:
        temporary.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in history))


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The figures of every epoch so far."""
    try:
        return [msgspec.json.decode(line, type=dict[str, float]) for line in (folder / METRICS).read_bytes().splitlines()]
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(f"cannot read {folder / METRICS} ({error}): train again") from None
