"""Check a raw ONNX graph without the onnx package: only operators and fields that the exporter writes are accepted.

The wire format is protobuf's (protobuf.dev/programming-guides/encoding), the field numbers are those of onnx.proto.
"""

import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from .graph_specs import CONDITION, served_graph
from .manifest import IR_VERSION, OPSET, GraphSpec, Manifest, Precision, TensorSpec, metadata

_FP32 = frozenset(
    {"Gemm", "Relu", "Add", "Sub", "Clip", "Exp", "Log", "Sigmoid", "Identity"}
    # Distance of a row from the training rows, and what is multiplied by a function of it.
    | {"Max", "Mul", "Neg", "ReduceMax", "ReduceMin"}
    | {"Concat"}  # of rows with their conditions
)
OPERATORS: dict[Precision, frozenset[str]] = {
    "fp32": _FP32,
    "fp16": _FP32 | {"Cast"},
    # No operator adds an axis: broadcasting rows against rows would need memory quadratic in the batch.
    "int8": _FP32 | {"DequantizeLinear", "Expand", "MatMulInteger", "QuantizeLinear", "Shape"},
}
_TYPE_BYTES = {"fp32": {1: 4, 7: 8}, "fp16": {1: 4, 7: 8, 10: 2}, "int8": {1: 4, 2: 1, 3: 1, 7: 8}}  # by TensorProto.DataType
_FLOAT = 1
_ATTRIBUTES: dict[str, dict[str, tuple[float, ...]]] = {
    "Concat": {"axis": (1,)},
    "Gemm": {"alpha": (1.0,), "beta": (1.0,), "transA": (0,), "transB": (0, 1)},
    "Cast": {"to": (1, 10)},
    "QuantizeLinear": {"axis": (0, 1), "saturate": (1,)},
    "DequantizeLinear": {"axis": (0, 1)},
    "ReduceMax": {"keepdims": (0, 1), "noop_with_empty_axes": (0,)},
    "ReduceMin": {"keepdims": (0, 1), "noop_with_empty_axes": (0,)},
}
_PRODUCTS = ("Gemm", "MatMulInteger")
_NODES = 1000

_INT, _BLOB, _FIXED = 0, 2, 5  # wire types; others are refused


class _Field(NamedTuple):
    name: str
    wire: int = _BLOB
    many: bool = False


# The accepted fields of each message. All others are refused: functions, subgraphs, sparse and external data,
# training info, doc strings, value info.
_MODEL = {
    1: _Field("ir_version", _INT),
    2: _Field("producer_name"),
    3: _Field("producer_version"),
    4: _Field("domain"),
    5: _Field("model_version", _INT),
    7: _Field("graph"),
    8: _Field("opset", many=True),
    14: _Field("metadata", many=True),
}
_OPSET = {1: _Field("domain"), 2: _Field("version", _INT)}
_ENTRY = {1: _Field("key"), 2: _Field("value")}
_GRAPH = {
    1: _Field("node", many=True),
    2: _Field("name"),
    5: _Field("initializer", many=True),
    11: _Field("input", many=True),
    12: _Field("output", many=True),
}
_NODE = {
    1: _Field("input", many=True),
    2: _Field("output", many=True),
    3: _Field("name"),
    4: _Field("op_type"),
    5: _Field("attribute", many=True),
    7: _Field("domain"),
}
_ATTRIBUTE = {1: _Field("name"), 2: _Field("f", _FIXED), 3: _Field("i", _INT), 20: _Field("type", _INT)}
_TENSOR = {1: _Field("dims", _INT, many=True), 2: _Field("data_type", _INT), 8: _Field("name"), 9: _Field("raw_data")}
_VALUE = {1: _Field("name"), 2: _Field("type")}
_TYPE = {1: _Field("tensor")}
_TENSOR_TYPE = {1: _Field("elem_type", _INT), 2: _Field("shape")}
_SHAPE = {1: _Field("dim", many=True)}
_DIM = {1: _Field("value", _INT), 2: _Field("param")}


class _RefusedError(Exception):
    """The reason to refuse a graph; `check_graph` adds the file's name and the remedy."""


def check_graphs(manifest: Manifest, files: Mapping[str, bytes], precision: Precision) -> None:
    """`check_graph` of every graph that serves this precision, before onnxruntime parses one."""
    for graph in ("encoder", "decoder", *(view.name for view in manifest.views)):
        name, spec, own = served_graph(manifest, graph, precision)
        check_graph(files[name], name, spec, own, metadata(manifest, graph, own))


def check_graph(data: bytes, name: str, spec: GraphSpec, precision: Precision, props: Mapping[str, str]) -> None:
    """Raise `BundleError` unless `data` is a graph of this spec and metadata `props`, made of accepted operators and fields."""
    try:
        model = _parse(memoryview(data), _MODEL, "model")
        _check_model(model, props)
        graph = _parse(model.get("graph", b""), _GRAPH, "graph")
        ranks = _initialisers(graph["initializer"], _TYPE_BYTES[precision])
        for kind, tensors in (("input", spec.inputs), ("output", spec.outputs)):
            _check_values(graph[kind], tensors, kind)
        _check_nodes(graph["node"], ranks, {tensor.name for tensor in spec.inputs}, OPERATORS[precision])
    except (_RefusedError, UnicodeDecodeError) as reason:
        raise BundleError(
            f"{name} is refused: {reason}: expected a graph as `aaptvae export` writes it: export the "
            "bundle again, or do not trust it"
        ) from None


def _check_model(model: dict[str, Any], metadata: Mapping[str, str]) -> None:
    opsets = [_parse(item, _OPSET, "opset") for item in model["opset"]]
    versions = [(_text(opset.get("domain", b"")), opset.get("version")) for opset in opsets]
    if model.get("ir_version") != IR_VERSION or versions not in ([("", OPSET)], [("ai.onnx", OPSET)]):
        raise _RefusedError(f"it has IR {model.get('ir_version')} and opsets {versions}, not {IR_VERSION} and {OPSET}")
    entries = [_parse(item, _ENTRY, "metadata entry") for item in model["metadata"]]
    found = [(_text(entry.get("key", b"")), _text(entry.get("value", b""))) for entry in entries]
    if sorted(found) != sorted(metadata.items()):
        wrong = sorted({key for key, _ in set(found) ^ set(metadata.items())}) or sorted(key for key, _ in found)
        raise _RefusedError(f"its {', '.join(wrong)} is not the manifest's (files of two bundles?)")


def _initialisers(tensors: list[memoryview], type_bytes: dict[int, int]) -> dict[str, int]:
    """Rank of each weight by name; the shape must account for every byte."""
    ranks: dict[str, int] = {}
    for item in tensors:
        tensor = _parse(item, _TENSOR, "initialiser")
        name, shape, kind = _text(tensor.get("name", b"")), tensor["dims"], tensor.get("data_type")
        if kind not in type_bytes or len(shape) > 2 or name in ranks:
            raise _RefusedError(f"initialiser {name!r} has type {kind} and shape {shape}, or occurs twice")
        if type_bytes[kind] * math.prod(shape) != len(tensor.get("raw_data", b"")):
            raise _RefusedError(f"initialiser {name!r} declares {shape} over {len(tensor.get('raw_data', b''))} bytes")
        ranks[name] = len(shape)
    return ranks


def _check_values(values: list[memoryview], expected: tuple[TensorSpec, ...], kind: str) -> None:
    found = [_value(item) for item in values]
    if found != [(tensor.name, _FLOAT, tensor.shape) for tensor in expected]:
        wanted = [(tensor.name, tensor.shape) for tensor in expected]
        raise _RefusedError(f"its {kind}s are {found}, not float32 {wanted}")


def _value(data: memoryview) -> tuple[str, int, tuple[int, ...]]:
    """Name, element type and shape; -1 for a symbolic axis."""
    value = _parse(data, _VALUE, "value")
    tensor = _parse(_parse(value.get("type", b""), _TYPE, "type").get("tensor", b""), _TENSOR_TYPE, "tensor type")
    axes = [_parse(axis, _DIM, "axis") for axis in _parse(tensor.get("shape", b""), _SHAPE, "shape")["dim"]]
    return _text(value.get("name", b"")), tensor.get("elem_type", 0), tuple(axis.get("value", -1) for axis in axes)


def _check_nodes(nodes: list[memoryview], ranks: dict[str, int], computed: set[str], operators: frozenset[str]) -> None:
    """Check nodes in order. Every operator takes an activation, so constant folding cannot build a large tensor."""
    if len(nodes) > _NODES or computed & ranks.keys():
        raise _RefusedError(f"it has {len(nodes)} nodes, or an input with a default value")
    shapes: set[str] = set()
    for item in nodes:
        node = _parse(item, _NODE, "node")
        operator, inputs, outputs = _text(node.get("op_type", b"")), _texts(node["input"]), _texts(node["output"])
        if operator not in operators or node.get("domain"):
            raise _RefusedError(
                f"it has an operator {operator!r} of domain {_text(node.get('domain', b''))!r}, "
                f"not one of {', '.join(sorted(operators))}"
            )
        taken = computed | ranks.keys() | shapes
        if not inputs or not outputs or len({*outputs}) < len(outputs) or taken.intersection(outputs):
            raise _RefusedError(f"a {operator} from {inputs} to {outputs} has no input or output, or one computed before")
        _check_attributes(node["attribute"], operator, int8="MatMulInteger" in operators)
        if operator == "Cast" and ranks.get(inputs[0]) == 2 and "MatMulInteger" not in operators:
            # A float16 weight cast for the product that uses it; the stored one may not be used again.
            ranks = {name: rank for name, rank in ranks.items() if name != inputs[0]} | dict.fromkeys(outputs, 2)
            continue
        if operator == "Concat" and (len(inputs) != 2 or inputs[1] != CONDITION):  # so that widths cannot multiply
            raise _RefusedError(f"a Concat joins {inputs}: expected rows and the input {CONDITION!r}")
        for place, name in enumerate(inputs):
            if not _fits(operator, place, ranks.get(name), name in computed, name in shapes):
                raise _RefusedError(f"input {place} of a {operator} is {name!r}, which is not allowed there")
        if operator == "Shape":
            shapes.update(outputs)
        else:
            computed = computed | {*outputs}


def _fits(operator: str, place: int, rank: int | None, computed: bool, shape: bool) -> bool:
    """True if an input at this place may be a weight of this rank, an activation or a computed shape."""
    if operator == "Expand":  # a scalar, to the shape of an activation
        return rank == 0 if place == 0 else shape
    if operator in _PRODUCTS and place == 1:
        return rank == 2
    return computed or (place > 0 and rank in (0, 1) and operator != "Concat")


def _check_attributes(attributes: list[memoryview], operator: str, *, int8: bool) -> None:
    """Check that attributes have known names and values; reductions keep their axis (keepdims), except in int8 graphs."""
    allowed = _ATTRIBUTES.get(operator, {})
    for item in attributes:
        attribute = _parse(item, _ATTRIBUTE, "attribute")
        name = _text(attribute.get("name", b""))
        value = attribute.get("i", 0) if "f" not in attribute else struct.unpack("<f", attribute["f"])[0]
        if value not in allowed.get(name, ()) or (name == "keepdims" and not value and not int8):
            raise _RefusedError(f"a {operator} has {name} = {value}")


def _parse(data: bytes | memoryview, fields: dict[int, _Field], what: str) -> dict[str, Any]:
    """Fields of one message by name, repeated ones as lists; an unknown or repeated field is refused."""
    message: dict[str, Any] = {field.name: [] for field in fields.values() if field.many}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field = fields.get(tag >> 3)
        if field is None or field.wire != tag & 7 or (not field.many and field.name in message):
            raise _RefusedError(f"its {what} has a field {tag >> 3} that is unknown, repeated or of another wire type")
        value: Any
        if field.wire == _INT:
            value, at = _varint(data, at)
        else:
            size, at = (4, at) if field.wire == _FIXED else _varint(data, at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise _RefusedError(f"its {what} is truncated")
        if field.many:
            message[field.name].append(value)
        else:
            message[field.name] = value
    return message


def _varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise _RefusedError("it ends inside a number")
        byte = data[at]
        value, at = value | (byte & 0x7F) << shift, at + 1
        if byte < 0x80:
            return value, at
    raise _RefusedError("it has a number of more than 64 bits")


def _text(data: bytes | memoryview) -> str:
    return bytes(data).decode()


def _texts(items: list[memoryview]) -> list[str]:
    return [_text(item) for item in items]


def weight_of(data: bytes, name: str, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """A weight of an fp32 graph as a view of its bytes, None for one of no columns; `BundleError` unless it has this shape."""
    if not shape[1]:
        return None
    try:
        graph = _parse(_parse(memoryview(data), _MODEL, "model").get("graph", b""), _GRAPH, "graph")
        for item in graph["initializer"]:
            tensor = _parse(item, _TENSOR, "initialiser")
            if _text(tensor.get("name", b"")) == name and (tuple(tensor["dims"]), tensor.get("data_type")) == (shape, _FLOAT):
                return np.frombuffer(tensor["raw_data"], "<f4").reshape(shape)
    except (_RefusedError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise BundleError(f"{name} cannot be read: {error}: export the bundle again") from None
    raise BundleError(f"the graph has no float32 weight {name} of shape {shape}: export the bundle again")


def cut(data: bytes, output: str) -> bytes:
    """A checked graph reduced to the nodes and weights that `output` needs, byte for byte the same."""
    model = _parse(memoryview(data), _MODEL, "model")
    graph = _parse(model["graph"], _GRAPH, "graph")
    needed, nodes = {output}, []
    for item in reversed(graph["node"]):
        node = _parse(item, _NODE, "node")
        if needed.intersection(_texts(node["output"])):
            needed.update(_texts(node["input"]))
            nodes.append(_blob(1, item))
    named = [(_text(_parse(item, _TENSOR, "initialiser")["name"]), item) for item in graph["initializer"]]
    weights = [_blob(5, item) for name, item in named if name in needed]
    outputs = [_blob(12, item) for item in graph["output"] if _value(item)[0] == output]
    inputs = [_blob(11, item) for item in graph["input"]]
    body = b"".join([*reversed(nodes), _blob(2, output.encode()), *weights, *inputs, *outputs])
    return bytes([1 << 3 | _INT, IR_VERSION]) + _blob(7, body) + _blob(8, model["opset"][0])


def _blob(number: int, data: bytes | memoryview) -> bytes:
    """A length-delimited field."""
    size, length = len(data), b""
    while size > 0x7F:
        size, length = size >> 7, length + bytes([size & 0x7F | 0x80])
    return bytes([number << 3 | _BLOB]) + length + bytes([size]) + data
