"""Folded layers as an ONNX model: each torch function that they call on an example becomes one operator.

The layers call about a dozen functions, and each has one operator of ONNX. So the operators are chosen here among those that
the runtime accepts, without torch's exporter, which takes seconds to import; `proof/gate.py` compares the results with the
model.
"""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from aaptvae.bundle.graph_check import OPERATORS
from aaptvae.bundle.manifest import IR_VERSION, OPSET, SCHEMA_VERSION, GraphSpec, TensorSpec

from ..errors import ExportError

_EXAMPLE_ROWS = 3  # unlike any fixed size of one
_BATCH = "batch"

RENAMED = {"maximum": "Max"}  # functions of torch whose operators have other names; others begin with a capital letter


class Node(NamedTuple):
    """An operator with the names of its inputs and its output."""

    operator: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]

    def proto(self) -> onnx.NodeProto:
        """The same as ONNX has it."""
        return helper.make_node(self.operator, self.inputs, [self.output], f"node_{self.output}", **self.attributes)


class Trace(TorchFunctionMode):
    """Records the functions that are called on tensors inside of its `with` block.

    `named` are tensors that the graph has from elsewhere, its inputs and weights.
    """

    def __init__(self, graph: str, named: Iterable[tuple[str, Tensor]]) -> None:
        super().__init__()
        self._graph = graph
        named = list(named)
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self._names = {id(tensor): name for name, tensor in named}
        self._taken = {name for name, _ in named}
        self._kept = [tensor for _, tensor in named]  # Python reuses the id of an object that is gone

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func` and record it, if its result is a tensor."""
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self._record(func.__name__.strip("_"), args, kwargs or {}, result)
        return result

    def name(self, tensor: Tensor) -> str:
        """The name of a tensor in the graph; `ExportError` for one that the layers made by other means."""
        try:
            return self._names[id(tensor)]
        except KeyError:
            shape = tuple(tensor.shape)
            raise ExportError(
                f"{self._graph}.onnx: the layers use a tensor {shape} that is no weight: register it as a buffer"
            ) from None

    def _record(self, function: str, args: Any, kwargs: dict[str, Any], result: Tensor) -> None:
        operator, inputs, attributes = self._translated(function, args, kwargs)
        output = next(name for n in count() if (name := f"{function}_{n}" if n else function) not in self._taken)
        self._taken.add(output)
        self._names[id(result)] = output
        self._kept.append(result)
        self.nodes.append(Node(operator, inputs, output, attributes))

    def _translated(self, function: str, args: Any, kwargs: dict[str, Any]) -> tuple[str, list[str], dict[str, Any]]:
        """The operator of a torch function, its inputs and its attributes; `ExportError` for one that has none here."""
        if function == "linear":
            x, weight, bias = args
            biases = [bias] if bias is not None and bias.any() else []
            gemm = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
            return "Gemm", [self.name(each) for each in (x, weight, *biases)], gemm
        if function == "clamp":
            x, *limits = args
            return "Clip", [self.name(x), *(self._constant(np.float32(limit)) for limit in limits)], {}
        if function in ("amax", "amin") and kwargs == {"dim": 1, "keepdim": True}:
            operator = "ReduceMax" if function == "amax" else "ReduceMin"
            return operator, [self.name(args[0]), self._constant(np.array([1]))], {"keepdims": 1}
        if function == "cat" and kwargs == {"dim": 1}:
            return "Concat", [self.name(each) for each in args[0]], {"axis": 1}
        operator = RENAMED.get(function, function.capitalize())
        if operator in OPERATORS["fp32"] and not kwargs and all(isinstance(each, Tensor) for each in args):
            return operator, [self.name(each) for each in args], {}
        raise ExportError(
            f"{self._graph}.onnx: the layers call {function}, which has no operator here: add it to graph/tracing.py, or to "
            "OPERATORS in the runtime's bundle/graph_check.py"
        )

    def _constant(self, value: Any) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.asarray(value)
        for name, held in self.constants.items():
            if held.dtype == array.dtype and held.tobytes() == array.tobytes():
                return name
        name = f"constant_{len(self.constants)}"
        self.constants[name] = array
        return name


@torch.no_grad()
def trace(module: nn.Module, spec: GraphSpec, graph: str) -> onnx.ModelProto:
    """`module` as an ONNX model of the computation alone, whose only dynamic axis is the batch.

    Its bytes depend on the weights alone. Raises `ExportError` for a function that has no operator here.
    """
    examples = [torch.zeros(_EXAMPLE_ROWS, tensor.shape[1]) for tensor in spec.inputs]
    weights = module.state_dict(keep_vars=True)
    with Trace(graph, [*zip((tensor.name for tensor in spec.inputs), examples, strict=True), *weights.items()]) as trace:
        result = module.eval()(*examples)
    outputs = [trace.name(tensor) for tensor in (result if isinstance(result, tuple) else (result,))]
    nodes = _needed(trace.nodes, outputs)
    final = dict(zip(outputs, (tensor.name for tensor in spec.outputs), strict=True))
    nodes = [
        node._replace(inputs=[final.get(name, name) for name in node.inputs], output=final.get(node.output, node.output))
        for node in nodes
    ]
    used = {name for node in nodes for name in node.inputs}
    values = {name: tensor.numpy() for name, tensor in weights.items()} | trace.constants
    body = helper.make_graph(
        [node.proto() for node in nodes],
        graph,
        [_declared(tensor) for tensor in spec.inputs],
        [_declared(tensor) for tensor in spec.outputs],
        [numpy_helper.from_array(value, name) for name, value in values.items() if name in used],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(
        body, producer_name="aaptvae", model_version=SCHEMA_VERSION, ir_version=IR_VERSION, opset_imports=[opset]
    )


def _needed(nodes: list[Node], outputs: list[str]) -> list[Node]:
    """The nodes that these outputs depend on, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _declared(tensor: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, onnx.TensorProto.FLOAT, [_BATCH, *tensor.shape[1:]])
