"""Requests and answers of the Open Inference Protocol V2: JSON, and the binary tensor extension.

https://github.com/kserve/open-inference-protocol and Triton's extension_binary_data.md
"""

import json
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from ..errors import InputError
from ..rows import Array
from .answers import BINARY, Answer, RequestError

DTYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "FP16": np.dtype("<f2"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
}
_begins_with_row = re.compile(rb"\s*\[\s*\[").match
_rows_of_data = re.compile(rb'"data"\s*:\s*\[\s*\[').search
_LARGE = 1 << 12  # bytes of JSON
_MOST_VALUES = 1 << 40  # of a tensor; the limits of bodies and rows are far below
_PARAMETERS = {"binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout"}


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


_Data = TypeVar("_Data")  # what numbers are decoded to: their bytes, or lists of floats
_Floats = list[float | None]


class InputTensor(msgspec.Struct, Generic[_Data]):
    """A tensor of a request."""

    name: str
    datatype: str
    shape: list[int]
    data: _Data | UnsetType = UNSET
    parameters: dict[str, Any] | None = None


class OutputWanted(msgspec.Struct):
    """A tensor that a request asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct, Generic[_Data]):
    """The JSON of a request for inference; fields that other servers know are ignored."""

    inputs: list[InputTensor[_Data]]
    outputs: list[OutputWanted] | None = None
    id: str | None = None
    model_name: str | None = None  # sent by KServe's client beside the path, and ignored like other fields
    parameters: dict[str, Any] | None = None


class Inference(NamedTuple):
    """A decoded request: arrays by name, outputs with True for binary, and the options of the model."""

    inputs: dict[str, Array]
    outputs: dict[str, bool]  # none: all
    binary: bool  # for outputs that the request does not name
    options: dict[str, Any]
    id: str | None


_decode, _encode = msgspec.json.Decoder(InferRequest[msgspec.Raw]).decode, msgspec.json.Encoder().encode
_decode_flat = msgspec.json.Decoder(InferRequest[_Floats]).decode
_decode_rows = msgspec.json.Decoder(InferRequest[list[_Floats]]).decode
_flat = {"float": msgspec.json.Decoder(_Floats).decode, "int": msgspec.json.Decoder(list[int]).decode}
_rows = {"float": msgspec.json.Decoder(list[_Floats]).decode, "int": msgspec.json.Decoder(list[list[int]]).decode}


def read_request(body: bytes, json_size: int | None, json_limit: int) -> Inference:
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
    asked = _repeated(body[:size]) if size < min(_LARGE, len(body)) else _checked(body if size == len(body) else body[:size])
    wanted, parameters = asked.outputs or [], asked.parameters or {}
    outputs = {output.name: (output.parameters or {}).get("binary_data") is True for output in wanted}
    if len(outputs) < len(wanted):
        raise InputError(f"the request asks for an output twice ({', '.join(outputs)[:200]}): expected each once")
    options = {key: value for key, value in parameters.items() if key not in _PARAMETERS}
    binary = parameters.get("binary_data_output") is True
    return Inference(_arrays(asked.inputs, body, size), outputs, binary, options, asked.id)


def _decoded(text: bytes) -> InferRequest[Any]:
    """The request, with the numbers of its tensors as lists of floats where that takes one pass, else as JSON."""
    if len(text) > _LARGE:
        try:
            asked = (_decode_flat if _rows_of_data(text) is None else _decode_rows)(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # the two passes below say what is wrong, and with which tensor
        else:
            if all(tensor.datatype.startswith("FP") for tensor in asked.inputs):  # floats do not hold all integers
                return asked
    return _decode(text)


def _checked(text: bytes) -> InferRequest[Any]:
    """The request in JSON `text`; `InputError` for other JSON, or an object with a key twice."""
    try:
        asked = _decoded(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the request is not JSON of the inference protocol V2 ({error})") from None
    _refuse_repeated_keys(asked, text)
    return asked


_repeated = lru_cache(64)(_checked)  # clients that send binary tensors send the same JSON before them


def _refuse_repeated_keys(asked: InferRequest[Any], text: bytes) -> None:
    """Raise `InputError` where an object has a key twice, of which the decoder takes the last.

    A request with as many quotes as its fields need has none; only others are parsed again.
    """
    few = len(text) < _LARGE  # numpy counts faster, but starts later
    quotes = text.count(b'"') if few else np.count_nonzero(np.frombuffer(text, np.uint8) == ord('"'))
    if quotes == 2 * _strings(asked):
        return
    try:
        json.loads(text, object_pairs_hook=_distinct, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request is not JSON of the inference protocol V2 ({error})") from None


def _strings(asked: InferRequest[Any]) -> int:
    """Strings in the JSON of a request, keys included, if it has no other fields and no null."""
    count = 1 + 2 * (asked.id is not None) + 2 * (asked.model_name is not None) + (asked.outputs is not None)
    count += _strings_of(asked.parameters)
    for tensor in asked.inputs:
        count += 5 + (tensor.data is not UNSET) + _strings_of(tensor.parameters)
    for wanted in asked.outputs or ():
        count += 2 + _strings_of(wanted.parameters)
    return count


def _strings_of(parameters: dict[str, Any] | None) -> int:
    if parameters is None:
        return 0
    return 1 + len(parameters) + sum([type(value) is str for value in parameters.values()])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"a key occurs twice in an object with {', '.join(fields)[:100]}")
    return fields


def _arrays(tensors: Sequence[InputTensor[Any]], body: bytes, offset: int) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for tensor in tensors:
        name, dtype = tensor.name[:100], DTYPES.get(tensor.datatype)
        if dtype is None:
            raise InputError(f"{name} has datatype {tensor.datatype[:20]!r}: expected one of {', '.join(DTYPES)}")
        if name in arrays:
            raise InputError(f"the request has the input {name} twice: expected each once")
        if not tensor.shape or len(tensor.shape) > 8 or min(tensor.shape) < 0:
            raise InputError(f"{name} has shape {tensor.shape[:9]}: expected one to eight dimensions from 0 up")
        if prod(filter(None, tensor.shape)) > _MOST_VALUES:  # numpy refuses such shapes also where a dimension is 0
            raise InputError(f"{name} has shape {str(tensor.shape)[:200]}: expected {_MOST_VALUES} values at most")
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            arrays[name] = _from_json(tensor, name, dtype)
            continue
        if tensor.data is not UNSET:
            raise InputError(f"{name} has data and binary_data_size: expected one of them")
        count = prod(tensor.shape)
        if type(size) is not int or size != count * dtype.itemsize or offset + size > len(body):
            raise InputError(
                f"{name} has {len(body) - offset} bytes left in the request and binary_data_size {size!r}: "
                f"expected {count * dtype.itemsize} for {tensor.datatype} {tensor.shape}"
            )
        arrays[name] = np.frombuffer(body, dtype, count, offset).reshape(tensor.shape)
        offset += size
    if offset != len(body):
        raise InputError(f"the request has {len(body) - offset} bytes after its last tensor: expected none")
    return arrays


def _from_json(tensor: InputTensor[Any], name: str, dtype: np.dtype[Any]) -> Array:
    """The numbers of a tensor, flat or in rows; null becomes NaN. Floats in double precision: the model rounds them."""
    kind = "float" if dtype.kind == "f" else "int"
    decoded: Any = tensor.data
    if decoded is UNSET:
        raise InputError(f"{name} has no data: expected a list of {kind}s as `data`, or binary_data_size and bytes")
    try:
        if isinstance(decoded, list):
            nested = bool(decoded) and type(decoded[0]) is list
        else:
            text = memoryview(decoded)
            nested = _begins_with_row(text) is not None
            decoded = (_rows if nested else _flat)[kind](text)
        values = _doubles(decoded, nested) if kind == "float" else np.array(decoded, dtype)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise InputError(f"data of {name} is not a list of {kind}s, flat or in rows of equal length ({error})") from None
    if values.size != prod(tensor.shape) or (nested and list(values.shape) != tensor.shape):
        raise InputError(f"{name} has {values.size} values in shape {list(values.shape)}: expected {tensor.shape}")
    return values.reshape(tensor.shape)


def _doubles(numbers: list[Any], nested: bool) -> Array:
    """An array in double precision; `struct` makes it in a third of numpy's time where no number is null."""
    if nested and len(set(map(len, numbers))) > 1:
        raise ValueError("its rows have different lengths")
    shape = (len(numbers), len(numbers[0])) if nested else (len(numbers),)
    try:
        packed = struct.pack(f"{prod(shape)}d", *(chain.from_iterable(numbers) if nested else numbers))
    except struct.error:
        return np.array(numbers, np.float64)
    return np.frombuffer(packed).reshape(shape)


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
    text = _encode(head)
    if not raw:
        return Answer(200, [text], rows=rows)
    return Answer(200, [text, *raw], BINARY, b"inference-header-content-length: %d\r\n" % len(text), rows)
