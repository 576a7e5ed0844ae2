"""What the JSON of a request says, in the Open Inference Protocol V2, and the numbers of tensors that are in it.

https://github.com/kserve/open-inference-protocol and Triton's extension_binary_data.md
"""

import json
import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from ..errors import InputError
from ..rows import Array

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
_NOT_SPOKEN = {  # parameters of a tensor that would change what the client gets, and the reason for their refusal
    "classification": "this server gives no classes",
    "shared_memory_region": "this server shares no memory with its clients",
}


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


class Placed(NamedTuple):
    """A tensor in the binary part of a request, from its byte `start` on."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int


class Asked(NamedTuple):
    """What the JSON of a request says: tensors by name, and the rest as in `Inference`."""

    inputs: dict[str, Array | Placed]
    binary_size: int  # of all binary tensors
    outputs: dict[str, bool]
    binary: bool
    options: dict[str, Any]
    id: str | None


_decode = msgspec.json.Decoder(InferRequest[msgspec.Raw]).decode
_decode_flat = msgspec.json.Decoder(InferRequest[_Floats]).decode
_decode_rows = msgspec.json.Decoder(InferRequest[list[_Floats]]).decode
_flat = {"float": msgspec.json.Decoder(_Floats).decode, "int": msgspec.json.Decoder(list[int]).decode}
_rows = {"float": msgspec.json.Decoder(list[_Floats]).decode, "int": msgspec.json.Decoder(list[list[int]]).decode}


def read_json(text: bytes, repeated: bool) -> Asked:
    """What the JSON `text` says; `InputError` for other JSON, an object with a key twice, or what does not fit together.

    `repeated`: other requests are likely to have the same JSON, as clients that send binary tensors do.
    """
    return _remembered(text) if repeated and len(text) < _LARGE else _checked(text)


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


def _checked(text: bytes) -> Asked:
    try:
        request = _decoded(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the request is not JSON of the inference protocol V2 ({error})") from None
    _refuse_repeated_keys(request, text)
    wanted, parameters = request.outputs or [], request.parameters or {}
    outputs = {output.name: _is_binary(output) for output in wanted}
    if len(outputs) < len(wanted):
        raise InputError(f"the request asks for an output twice ({', '.join(outputs)[:200]}): expected each once")
    options = {key: value for key, value in parameters.items() if key not in _PARAMETERS}
    inputs, binary_size = _tensors(request.inputs)
    binary = _true_or_false(parameters, "binary_data_output", "the request")
    return Asked(inputs, binary_size, outputs, binary, options, request.id)


_remembered = lru_cache(64)(_checked)


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


def _is_binary(output: OutputWanted) -> bool:
    parameters, name = output.parameters or {}, output.name[:100]
    _refuse_not_spoken(parameters, name)
    return _true_or_false(parameters, "binary_data", name)


def _true_or_false(parameters: dict[str, Any], key: str, owner: str) -> bool:
    value = parameters.get(key, False)
    if type(value) is not bool:
        raise InputError(f"{owner} has {key} {repr(value)[:40]}: expected true or false")
    return value


def _refuse_not_spoken(parameters: dict[str, Any], name: str) -> None:
    for key in parameters.keys() & _NOT_SPOKEN.keys():
        raise InputError(f"{name} has {key}: {_NOT_SPOKEN[key]}: send and take tensors in the bodies of HTTP")


def _tensors(tensors: Sequence[InputTensor[Any]]) -> tuple[dict[str, "Array | Placed"], int]:
    """The tensors by name, those in JSON as arrays; and the bytes of the others."""
    inputs: dict[str, Array | Placed] = {}
    start = 0
    for tensor in tensors:
        name, dtype = tensor.name[:100], DTYPES.get(tensor.datatype)
        if dtype is None:
            raise InputError(f"{name} has datatype {tensor.datatype[:20]!r}: expected one of {', '.join(DTYPES)}")
        if name in inputs:
            raise InputError(f"the request has the input {name} twice: expected each once")
        if not tensor.shape or len(tensor.shape) > 8 or min(tensor.shape) < 0:
            raise InputError(f"{name} has shape {tensor.shape[:9]}: expected one to eight dimensions from 0 up")
        if prod(filter(None, tensor.shape)) > _MOST_VALUES:  # numpy refuses such shapes also where a dimension is 0
            raise InputError(f"{name} has shape {str(tensor.shape)[:200]}: expected {_MOST_VALUES} values at most")
        parameters = tensor.parameters or {}
        _refuse_not_spoken(parameters, name)
        size = parameters.get("binary_data_size")
        if size is None:
            inputs[name] = _from_json(tensor, name, dtype)
            continue
        if tensor.data is not UNSET:
            raise InputError(f"{name} has data and binary_data_size: expected one of them")
        expected = prod(tensor.shape) * dtype.itemsize
        if type(size) is not int or size != expected:
            raise InputError(f"{name} has binary_data_size {size!r}: expected {expected} for {tensor.datatype} {tensor.shape}")
        inputs[name] = Placed(tuple(tensor.shape), dtype, start)
        start += size
    return inputs, start


def _from_json(tensor: InputTensor[Any], name: str, dtype: np.dtype[Any]) -> Array:
    """The numbers of a tensor, flat or in rows; null becomes NaN. FP32 in double precision: the model rounds it."""
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
    if dtype.itemsize == 2 and kind == "float":
        with np.errstate(over="ignore"):  # overflow gives inf, which the model refuses
            values = values.astype(dtype)
    values.flags.writeable = False  # requests with the same JSON share it
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
