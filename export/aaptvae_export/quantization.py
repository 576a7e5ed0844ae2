"""Graphs of lower precision from the fp32 ones: weights stored or multiplied in fewer bits, float32 in and out."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights stored as float16 and cast back where they are used: half the bytes, the same operators."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    casts = []
    for tensor in twin.graph.initializer:
        if len(tensor.dims) != 2:
            continue
        name = tensor.name
        with np.errstate(over="ignore"):  # an overflow is infinite and the twin's gate refuses it
            half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *twin.graph.node]
    del twin.graph.node[:]
    twin.graph.node.extend(nodes)
    return twin


CONVERTERS = {"fp16": to_fp16}
