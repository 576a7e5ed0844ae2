"""ONNX models of the folded layers: traced, stripped of everything but the computation, checked, serialised.

The layers are made by `folding.py`; their results are compared with the model in `proof/gate.py`.
"""

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import torch
from torch import nn

from aaptvae.bundle.graph_specs import decoder_spec, encoder_spec
from aaptvae.bundle.manifest import IR_VERSION, OPSET, SCHEMA_VERSION, GraphSpec
from aaptvae_training import AAPTVAE

from ..errors import ExportError
from .folding import Subspace, fold_decoder, fold_encoder
from .modules import EncoderGraph

_EXAMPLE_ROWS = 3  # torch.export treats sizes 0 and 1 as constants


@dataclass(frozen=True)
class TracedGraph:
    """One graph: its folded layers, the ONNX model traced from them, and the inputs and outputs it must have."""

    name: str
    module: nn.Module
    model: onnx.ModelProto
    spec: GraphSpec

    @classmethod
    def of(cls, name: str, module: nn.Module, spec: GraphSpec) -> "TracedGraph":
        """Trace `module`."""
        return cls(name, module, trace(module, spec, name), spec)


@dataclass(frozen=True)
class TracedPair:
    """Encoder and decoder of one model; `encoder_layers` are the encoder's folded layers."""

    encoder: TracedGraph
    decoder: TracedGraph
    encoder_layers: EncoderGraph

    @property
    def pair_id(self) -> str:
        """SHA-256 of both fp32 graphs without metadata: identifies an encoder and decoder that belong together."""
        return hashlib.sha256(to_bytes(self.encoder.model) + to_bytes(self.decoder.model)).hexdigest()


def trace_pair(model: AAPTVAE, subspace: Subspace | None = None) -> TracedPair:
    """Fold and trace both halves of `model`, restricted to the latents of `subspace` if there is one."""
    widths = model.input_dim, model.latent_dim if subspace is None else len(subspace.basis)
    layers = fold_encoder(model, subspace)
    encoder = TracedGraph.of("encoder", layers, encoder_spec(*widths, model.condition_dim))
    decoder = TracedGraph.of("decoder", fold_decoder(model, subspace), decoder_spec(*widths, model.condition_dim))
    return TracedPair(encoder, decoder, layers)


def trace(module: nn.Module, spec: GraphSpec, graph: str) -> onnx.ModelProto:
    """`module` as an ONNX model of the computation alone, whose only dynamic axis is the batch."""
    examples, batch = tuple(torch.zeros(_EXAMPLE_ROWS, tensor.shape[1]) for tensor in spec.inputs), torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            examples,
            dynamo=True,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in spec.inputs],
            output_names=[tensor.name for tensor in spec.outputs],
            dynamic_shapes=tuple({0: batch} for _ in examples),
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto  # type: ignore[union-attr] # None only for other arguments
    return _clean(model, graph)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about optional packages."""
    names = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _clean(model: onnx.ModelProto, graph: str) -> onnx.ModelProto:
    """Remove stack traces, paths, intermediate shapes and version strings: the bytes then depend on the weights alone."""
    body = model.graph
    for part in (model, body, *body.node, *body.input, *body.output, *body.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for tensor in body.initializer:
        # The format allows several fields for the values; here they are always little-endian bytes in raw_data.
        raw = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
        tensor.CopyFrom(raw)
    body.ClearField("value_info")
    body.name = graph
    model.producer_name, model.producer_version = "aaptvae", ""
    model.model_version, model.ir_version = SCHEMA_VERSION, IR_VERSION
    return model


def check_model(traced: TracedGraph) -> None:
    """ONNX's own checker with shape inference, then names, float32 and the symbolic batch; `ExportError`."""
    model, spec, graph = traced.model, traced.spec, traced.name
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker raises its own errors and those of C++ shape inference
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


def check_weights(traced: TracedGraph) -> None:
    """Every weight in the graph equals the folded checkpoint's, bit for bit; `ExportError` names one that does not."""
    model, graph = traced.model, traced.name
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name, value in traced.module.state_dict().items():
        expected = value.numpy()
        if name not in stored and name.endswith(".bias") and not expected.any():
            continue  # the exporter leaves a zero bias out
        if name not in stored and any(a.shape == expected.shape and a.tobytes() == expected.tobytes() for a in stored.values()):
            continue  # the exporter stores equal weights once, such as the zeros of mu and logvar in a linear model
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
