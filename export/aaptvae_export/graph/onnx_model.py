"""ONNX models of the folded layers: traced, checked, serialised.

The layers are made by `folding.py`; their results are compared with the model in `proof/gate.py`.
"""

import hashlib
from dataclasses import dataclass

import onnx
from torch import nn

from aaptvae.bundle.graph_specs import decoder_spec, encoder_spec
from aaptvae.bundle.manifest import GraphSpec
from aaptvae_training import AAPTVAE

from ..errors import ExportError
from .folding import Subspace, fold_decoder, fold_encoder
from .modules import EncoderGraph
from .tracing import trace


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
            continue  # a zero bias is left out
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
