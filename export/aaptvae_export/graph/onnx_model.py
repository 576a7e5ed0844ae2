"""One folded layer stack to one ONNX model: exported, stripped of everything but the computation, checked, named.

What the layers hold is `folding.py`; whether the numbers are right is `parity.py`.
"""

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import nn

from aaptvae.bundle.manifest import IR_VERSION, OPSET, SCHEMA_VERSION, GraphSpec

from ..errors import ExportError

EXAMPLE_ROWS = 3  # 0 and 1 would be taken for constants


def trace(module: nn.Module, spec: GraphSpec, graph: str) -> onnx.ModelProto:
    """`module` as a clean ONNX model whose only dynamic axis is the batch."""
    example = torch.zeros(EXAMPLE_ROWS, spec.inputs[0].shape[1])
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in spec.inputs],
            output_names=[tensor.name for tensor in spec.outputs],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto  # type: ignore[union-attr] # None only for other arguments
    return clean(model, graph)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks about packages that nobody here needs."""
    names = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript")
    talkers = [logging.getLogger(name) for name in names]
    levels = [talker.level for talker in talkers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for talker in talkers:
            talker.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)


def clean(model: onnx.ModelProto, graph: str) -> onnx.ModelProto:
    """Strip stack traces, paths, intermediate shapes and version strings; what is left depends on the weights alone."""
    body = model.graph
    for part in (model, body, *body.node, *body.input, *body.output, *body.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for tensor in body.initializer:
        # Tools differ in where they keep numbers; ours are always the little-endian bytes.
        raw = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
        tensor.CopyFrom(raw)
    body.ClearField("value_info")
    body.name = graph
    model.producer_name, model.producer_version = "aaptvae", ""
    model.model_version, model.ir_version = SCHEMA_VERSION, IR_VERSION
    return model


def check_model(model: onnx.ModelProto, spec: GraphSpec, graph: str) -> None:
    """ONNX's own checker with shape inference, then names, float32 and the symbolic batch; `ExportError` if not."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker raises its own, and inference errors of C++
        raise ExportError(f"{graph}.onnx: refused by the ONNX checker: {error}") from error
    for have, want in ((model.graph.input, spec.inputs), (model.graph.output, spec.outputs)):
        got = [_describe(value) for value in have]
        expected = [f"{tensor.name} float32 [batch, {tensor.shape[1]}]" for tensor in want]
        if got != expected:
            raise ExportError(f"{graph}.onnx: has {', '.join(got)}; expected {', '.join(expected)}")


def _describe(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    axes = [axis.dim_param or str(axis.dim_value) for axis in tensor.shape.dim]
    return f"{value.name} {kind} [{', '.join(axes)}]"


def check_weights(model: onnx.ModelProto, module: nn.Module, graph: str) -> None:
    """Every weight in the graph equals the folded checkpoint's, bit for bit; `ExportError` names one that does not."""
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name, value in module.state_dict().items():
        expected = value.numpy()
        if name not in stored and name.endswith(".bias") and not expected.any():
            continue  # the exporter leaves a zero bias out
        if name not in stored:
            raise ExportError(f"{graph}.onnx: holds no weight called {name}")
        if stored[name].shape != expected.shape:
            raise ExportError(f"{graph}.onnx: {name} has shape {stored[name].shape}; expected {expected.shape}")
        if stored[name].tobytes() != expected.tobytes():
            worst = abs(stored[name].astype("f8") - expected).max()
            raise ExportError(f"{graph}.onnx: {name} differs from the folded checkpoint by {worst:.3g}; expected 0")


def to_bytes(model: onnx.ModelProto, metadata: dict[str, str] | None = None) -> bytes:
    """The model as bytes that are the same in every process, with `metadata` as its properties."""
    stamped = onnx.ModelProto()
    stamped.CopyFrom(model)
    onnx.helper.set_model_props(stamped, dict(sorted((metadata or {}).items())))
    data: bytes = stamped.SerializeToString(deterministic=True)
    return data


def pair_id(encoder: onnx.ModelProto, decoder: onnx.ModelProto) -> str:
    """Digest of both fp32 graphs before they are stamped: what makes two halves a pair."""
    return hashlib.sha256(to_bytes(encoder) + to_bytes(decoder)).hexdigest()
