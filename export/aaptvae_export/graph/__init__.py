"""From a trained model to ONNX graphs."""

from .folding import EncoderGraph, Subspace, constant_columns
from .onnx_model import TracedGraph, TracedPair, check_model, check_weights, to_bytes, trace_pair

__all__ = [
    "EncoderGraph",
    "Subspace",
    "TracedGraph",
    "TracedPair",
    "check_model",
    "check_weights",
    "constant_columns",
    "to_bytes",
    "trace_pair",
]
