"""From a trained model to ONNX graphs."""

from .folding import Subspace, fold_encoder
from .modules import EncoderGraph
from .onnx_model import TracedGraph, TracedPair, check_model, check_weights, to_bytes, trace_pair
from .views import compact_metric, fold_metric, fold_similarity, inverse_of
