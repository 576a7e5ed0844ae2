"""Requests and answers of the Open Inference Protocol V2: JSON, and the binary tensors behind it.

https://github.com/kserve/open-inference-protocol and Triton's extension_binary_data.md
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ..errors import InputError
from ..rows import Array
from .answers import BINARY, Answer, RequestError
from .asked import Placed, read_json


@dataclass(frozen=True)
class Port:
    """A tensor of a model; -1 is the batch axis."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, in the precision that results have."""
        return (8 if self.datatype == "FP64" else 4) * prod(self.shape[1:])


class Inference(NamedTuple):
    """A decoded request: arrays by name, outputs with True for binary, and the options of the model."""

    inputs: dict[str, Array]
    outputs: dict[str, bool]  # none: all
    binary: bool  # for outputs that the request does not name
    options: dict[str, Any]
    id: str | None


def read_request(body: bytes | memoryview, json_size: int | None, json_limit: int) -> Inference:
    """The request in `body`, whose first `json_size` bytes are JSON (None: all of it).

    Raises `InputError` for anything that does not follow the protocol, `RequestError` 413 for more JSON than `json_limit`.
    """
    size = len(body) if json_size is None else json_size
    if not 0 < size <= len(body):
        raise InputError(f"the request has {len(body)} bytes, of which {size} were announced as JSON: expected 1 or more")
    if size > json_limit:
        raise RequestError(
            413, f"the request has {size} bytes of JSON: expected {json_limit} at most: send tensors as binary data"
        )
    asked = read_json(bytes(body[:size]), repeated=size < len(body))
    if size + asked.binary_size != len(body):
        raise InputError(
            f"the request has {len(body)} bytes: expected {size + asked.binary_size}, of which {size} are JSON and the others "
            f"its binary tensors ({', '.join(asked.inputs)[:200]})"
        )
    inputs = {
        name: np.ndarray(tensor.shape, tensor.dtype, body, size + tensor.start) if isinstance(tensor, Placed) else tensor
        for name, tensor in asked.inputs.items()
    }
    return Inference(inputs, asked.outputs, asked.binary, asked.options, asked.id)


def write_answer(model: tuple[str, str], asked: Inference, results: Iterable[tuple[Port, Array]], rows: int) -> Answer:
    """The answer of a model (name and version) with its results."""
    outputs: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for port, array in results:
        output: dict[str, Any] = {"name": port.name, "datatype": port.datatype, "shape": array.shape}
        if asked.outputs.get(port.name, asked.binary):
            data = array.tobytes()
            raw.append(data)
            output["parameters"] = {"binary_data_size": len(data)}
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    head: dict[str, Any] = {"model_name": model[0], "model_version": model[1], "outputs": outputs}
    if asked.id is not None:
        head["id"] = asked.id
    text = msgspec.json.encode(head)
    if not raw:
        return Answer(200, [text], rows=rows)
    return Answer(200, [text, *raw], BINARY, b"inference-header-content-length: %d\r\n" % len(text), rows)
