"""Graphs of lower precision from the fp32 ones: weights stored, or multiplied, in fewer bits; float32 in and out.

int8 scales every row by its own largest value, so that a row's result depends on that row alone: onnxruntime's dynamic
quantisation shares one scale among the rows of a call. Integer products are so fast that elementwise operations on their
results take most of the time, so columns are rescaled as seldom as possible. `low_rank.py` removes products before this step;
`admission.py` measures the result.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from aaptvae.bundle.manifest import Precision
from aaptvae.rows import Array, Matrix, Rows

_UNEVEN = 4  # columns whose scales differ by at most this factor share one: the smallest of them lose two bits
NARROW = 32  # with so few columns a float product is as fast as the integer one with its scaling and rounding

# Scalars and short vectors that the int8 operators take; nothing reads them by name.
_CONSTANTS: dict[str, Array] = {
    "int8.axis": np.array([1], np.int64),
    "int8.tiny": np.array([1e-30], np.float32),  # a row of zeros has a scale too
    "int8.signed_step": np.array([1 / 127], np.float32),
    "int8.positive_step": np.array([1 / 255], np.float32),
    "int8.signed_origin": np.array(128, np.uint8),
    "int8.positive_origin": np.array(0, np.uint8),
}


def unfold_scaler(model: onnx.ModelProto, mean: Matrix, scale: Matrix, constant: NDArray[np.bool_]) -> onnx.ModelProto:
    """The encoder with (x - mean) / scale [D] computed first and taken out of its weights again.

    With the scaler folded in, a nearly constant column has weights of 1e7 beside weights of 1, too far apart for one 8-bit
    scale. A subtraction or division that the model does not need is left out: each costs int8 a twentieth of its speed. The
    scale of `constant` columns [D] is not a measure of their values.
    """
    sizes = np.where(constant, scale[~constant].max(initial=0) or 1, scale)
    even = sizes.max() <= _UNEVEN * sizes.min()
    if even and (np.abs(mean) <= sizes).all():
        return model
    weights = weights_of(model)
    source = model.graph.input[0].name
    model = copy.deepcopy(model)
    nodes = [node for node in model.graph.node if not (node.op_type == "Sub" and node.input[0] == source)]
    raw = {source} | {node.output[0] for node in model.graph.node if node not in nodes}
    joined = next((node for node in nodes if node.op_type == "Concat" and node.input[0] in raw), None)
    reads = {joined.output[0]: joined.input[0]} if joined else {}
    for node in nodes:
        read = reads.get(node.input[0], node.input[0])
        if read in raw and node is not joined:
            weight = node.input[1]
            beside = weights[weight].shape[1] - len(mean)  # columns of conditions, which are not scaled
            if read == source:
                bias = node.input[2] if len(node.input) > 2 else f"{weight}.centred"
                centred = weights.get(bias, 0) + weights[weight].astype(np.float64) @ np.pad(mean, (0, beside))
                weights[bias], node.input[2:] = centred.astype(np.float32), [bias]
            if not even:
                stretched = weights[weight].astype(np.float64) * np.pad(scale, (0, beside), constant_values=1)
                weights[weight] = stretched.astype(np.float32)
            if node.input[0] in raw:
                node.input[0] = "centred" if even else "standardised"
    if joined is not None:
        joined.input[0] = "centred" if even else "standardised"
    weights |= {"mean": mean.astype(np.float32), "inverse": (1 / scale).astype(np.float32)}
    centre = helper.make_node("Sub", [source, "mean"], ["centred"])
    stretch = helper.make_node("Mul", ["centred", "inverse"], ["standardised"])
    return rebuilt(model, [centre, *([] if even else [stretch]), *nodes], weights)


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights stored as float16 in units of the largest of their row and cast back where they are used: half the bytes."""
    weights = weights_of(model)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "Gemm":
            nodes.append(node)
            continue
        source, weight, *bias = node.input
        name, matrix = node.output[0], weights[weight]
        steps = np.maximum(np.abs(matrix).max(axis=1), np.float32(1e-30))
        weights |= {f"{weight}.fp16": (matrix / steps[:, None]).astype(np.float16), f"{weight}.steps": steps}
        nodes += [
            helper.make_node("Cast", [f"{weight}.fp16"], [f"{weight}.fp32"], to=TensorProto.FLOAT),
            helper.make_node("Gemm", [source, f"{weight}.fp32"], [f"{name}.units"], transB=1),
            helper.make_node("Mul", [f"{name}.units", f"{weight}.steps"], [f"{name}.product" if bias else name]),
        ]
        if bias:
            nodes.append(helper.make_node("Add", [f"{name}.product", bias[0]], [name]))
    return rebuilt(model, nodes, weights)


def to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Products in 8-bit integers, weights scaled per output column and activations per row."""
    return _Int8(model).convert()


CONVERTERS: dict[Precision, Callable[[onnx.ModelProto], onnx.ModelProto]] = {"fp16": to_fp16, "int8": to_int8}


def weights_of(model: onnx.ModelProto) -> dict[str, Array]:
    """The model's weights by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def rebuilt(model: onnx.ModelProto, nodes: list[NodeProto], weights: dict[str, Array]) -> onnx.ModelProto:
    """The model with `nodes` in place of its own, and those of `weights` that they use."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    used = {name for node in nodes for name in node.input}
    del twin.graph.node[:], twin.graph.initializer[:]
    twin.graph.node.extend(nodes)
    kept = [numpy_helper.from_array(values, name) for name, values in weights.items() if name in used]
    twin.graph.initializer.extend(kept)
    return twin


class _Int8:
    """One conversion: walks the nodes in order and rewrites each Gemm.

    Hidden units share one step per layer, and so do the outputs of an encoder, where their steps are similar; the columns of
    a reconstruction keep their own.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.shares = model, model.graph.output[0].name != "reconstruction"
        self.weights = weights_of(model) | _CONSTANTS
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.nodes: list[NodeProto] = []
        self.quantized: dict[str, tuple[str, str, str]] = {}

    def convert(self) -> onnx.ModelProto:
        for node in self.model.graph.node:
            if node.op_type == "Gemm" and self._suits_int8(node):
                self._product(node)
            elif node.op_type != "Relu" or self._floats_follow(node.output[0]):  # unsigned integers clip at zero
                self.nodes.append(node)
        return rebuilt(self.model, self.nodes, self.weights)

    def _suits_int8(self, node: NodeProto) -> bool:
        """False for variances, which span too many decades for 8 bits, and for narrow products, which are no faster."""
        return self.weights[node.input[1]].shape[1] > NARROW and not self._made_by(node.input[0], "Exp")

    def _floats_follow(self, name: str) -> bool:
        users = (node for node in self.model.graph.node if name in node.input)
        return any(node.op_type != "Gemm" or not self._suits_int8(node) for node in users)

    def _made_by(self, name: str, operator: str) -> bool:
        return name in self.makers and self.makers[name].op_type == operator

    def _is_faded(self, name: str) -> bool:
        """Whether this is a hidden layer times the factor of 0 to 1 by which it fades."""
        if not self._made_by(name, "Mul"):
            return False
        hidden, factor = self.makers[name].input
        return self._made_by(hidden, "Relu") and self._made_by(factor, "Clip")

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _quantize(self, name: str) -> tuple[str, str, str]:
        """Names of the integers, of their scale per row and of their origin."""
        if name not in self.quantized:
            positive = self._made_by(name, "Relu") or self._is_faded(name)
            source = self.makers[name].input[0] if self._made_by(name, "Relu") else name
            largest = self._add("ReduceMax", [source, "int8.axis"], f"{name}.largest", keepdims=0)
            if not positive:
                smallest = self._add("ReduceMin", [source, "int8.axis"], f"{name}.smallest", keepdims=0)
                largest = self._add("Max", [largest, self._add("Neg", [smallest], f"{name}.negated")], f"{name}.size")
            kind = "positive" if positive else "signed"
            step = self._add("Mul", [largest, f"int8.{kind}_step"], f"{name}.step")
            scale = self._add("Max", [step, "int8.tiny"], f"{name}.scale")
            inputs = [source, scale] if positive else [source, scale, self._origins(name, scale)]
            integers = self._add("QuantizeLinear", inputs, f"{name}.integers", axis=0)
            self.quantized[name] = integers, scale, f"int8.{kind}_origin"
        return self.quantized[name]

    def _origins(self, name: str, scale: str) -> str:
        """The zero point 128 repeated for every row, the shape that QuantizeLinear expects."""
        rows = self._add("Shape", [scale], f"{name}.rows")
        return self._add("Expand", ["int8.signed_origin", rows], f"{name}.origins")

    def _product(self, node: NodeProto) -> None:
        source, weight, *bias = node.input
        bias = [name for name in bias if self.weights[name].any()]
        name = node.output[0]
        integers, scale, origin = self._quantize(source)
        steps, followers = _steps(self.weights[weight]), self._followers(name)
        shared = self.shares and not followers and bool(steps.max() <= _UNEVEN * steps.min())
        if followers:  # relu(a * x) = a * relu(x), so the next weights absorb the steps (Nagel et al. 2019)
            steps = np.maximum(steps, steps.max() / _UNEVEN)
            self._pass_on(steps, followers, bias)
        elif shared:
            steps = np.full_like(steps, steps.max())
            self.weights[f"{weight}.step"] = steps[:1]
            scale = self._add("Mul", [scale, f"{weight}.step"], f"{name}.scale")
        self.weights[f"{weight}.int8"] = _integers(self.weights[weight], steps)
        product = f"{name}.product" if bias else name
        counts = self._add("MatMulInteger", [integers, f"{weight}.int8", origin], f"{name}.counts")
        if followers or shared:
            self._add("DequantizeLinear", [counts, scale], product, axis=0)
        else:
            self.weights[f"{weight}.steps"] = steps
            rows = self._add("DequantizeLinear", [counts, scale], f"{name}.measured", axis=0)
            self._add("Mul", [rows, f"{weight}.steps"], product)
        if bias:
            self._add("Add", [product, bias[0]], name)

    def _followers(self, name: str) -> list[str]:
        """Weights of the products that read `name` through a Relu and nothing else; empty if `name` is used otherwise."""
        users = [node for node in self.model.graph.node if name in node.input]
        if [node.op_type for node in users] != ["Relu"]:
            return []
        users = [node for node in self.model.graph.node if users[0].output[0] in node.input]
        return [node.input[1] for node in users] if all(node.op_type == "Gemm" for node in users) else []

    def _pass_on(self, steps: Rows, followers: list[str], bias: list[str]) -> None:
        for name in bias:
            self.weights[name] = (self.weights[name] / steps).astype(np.float32)
        for name in followers:
            self.weights[name] = (self.weights[name] * steps).astype(np.float32)


def _steps(matrix: Array) -> Rows:
    """Value of one integer unit in each output column of a Gemm's weights [M, K]: float32 [M]."""
    steps: Rows = np.maximum(np.abs(matrix).max(axis=1) / 127, 1e-30).astype(np.float32)
    return steps


def _integers(matrix: Array, steps: Rows) -> Array:
    """The weights [M, K] in units of `steps`, transposed for MatMulInteger: int8 [K, M]."""
    return np.ascontiguousarray(np.rint(matrix / steps[:, None]).astype(np.int8).T)
