"""The views of a bundle in memory: folded, traced, proven against torch, and their twins of lower precision."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import nn

from aaptvae.bundle import manifest as bundle
from aaptvae.bundle.graph_check import check_graph
from aaptvae.bundle.manifest import GraphSpec, Manifest, Precision, View, ViewTwin, graph_file
from aaptvae.bundle.npz import write_npz
from aaptvae.errors import BundleError
from aaptvae.rows import Array, Matrix, Rows
from aaptvae_training import Run
from aaptvae_training.similarity.head import SimilarityHead
from aaptvae_training.similarity.metric import MetricMap
from aaptvae_training.similarity.recall import NEIGHBOURS, Geometry, recall_at
from aaptvae_training.similarity.views import Chosen

from ..errors import ExportError
from ..graph import onnx_model as graphs
from ..graph.folding import Subspace, fold_encoder
from ..graph.views import compact_metric, fold_metric, fold_similarity, inverse_of
from ..proof.gate import Gate, Graph, Inputs, Outputs, run_graph
from ..variants.admission import Reduced
from ..variants.quantization import CONVERTERS, standardise

MOST_RECALL_LOSS: dict[Reduced, float] = {"int8": 0.02, "fp16": 0.005}  # a view that loses more keeps its fp32 graph


@dataclass(frozen=True)
class ViewDraft:
    """One view: its entry in the manifest, what was folded and traced, and what it must compute, by floating-point type."""

    view: View
    module: nn.Module
    model: onnx.ModelProto
    spec: GraphSpec
    references: Mapping[str, Graph]

    def compute(self, x: Rows) -> Rows:
        """The view of raw rows as the float64 reference computes it, rounded: float32 [N, dim]."""
        return self.references["float64"](x)[self.view.name].astype(np.float32)


def draft_views(run: Run, gate: Gate, subspace: Subspace | None) -> tuple[list[ViewDraft], dict[str, bytes]]:
    """The views of a run, none for a run of before, and `views.npz` where metric has an inverse to ship."""
    if run.views is None:
        return [], {}
    metric, views = compact_metric(run.views.metric, subspace), run.views
    entry = _view(views.geometry, "metric", len(metric.offset), views.metric_choice)
    references = {name: _metric_reference(reference.encode, metric) for name, reference in gate.references.items()}
    drafts = [_draft(run, entry, fold_metric(fold_encoder(run.model, subspace), metric), references)]
    if views.head is not None and views.head_choice is not None:
        entry = _view(views.geometry, "similarity", views.head.linear.out_features, views.head_choice)
        types = {"torch": torch.float32, "float64": torch.float64}
        heads = {name: _head_reference(views.head, dtype) for name, dtype in types.items()}
        drafts.append(_draft(run, entry, fold_similarity(views.head), heads))
    return drafts, {bundle.VIEWS: write_npz(inverse_of(metric))}


def _view(geometry: Geometry, name: str, dim: int, choice: Chosen) -> View:
    return View(
        name=name,  # type: ignore[arg-type] # one of the two literals
        dim=dim,
        geometry=geometry,
        method=choice.method,
        recall=choice.recall,
        start_recall=choice.start_recall,
    )


def _draft(run: Run, view: View, module: nn.Module, references: Mapping[str, Graph]) -> ViewDraft:
    spec = bundle.view_spec(run.model.input_dim, view)
    return ViewDraft(view, module, graphs.trace(module, spec, view.name), spec, references)


def _metric_reference(encode: Graph, metric: MetricMap) -> Graph:
    def compute(x: Rows) -> Outputs:
        mu = encode(x)["mu"]
        return {"metric": mu @ metric.matrix.astype(mu.dtype) + metric.offset.astype(mu.dtype)}

    return compute


def _head_reference(head: SimilarityHead, dtype: torch.dtype) -> Graph:
    head = copy.deepcopy(head).eval().to(dtype)
    # As for the model itself: its float32 layers subtract the rounded mean.
    head.mean = head.mean.float().to(dtype)

    @torch.no_grad()
    def compute(x: Rows) -> Outputs:
        return {"similarity": head(torch.from_numpy(x).to(dtype)).numpy()}

    return compute


def stamp_view(
    draft: ViewDraft, manifest: Manifest, precision: Precision = "fp32", model: onnx.ModelProto | None = None
) -> bytes:
    """The view's graph as a file, checked as the runtime will; `ExportError`."""
    name = draft.view.name
    metadata = bundle.metadata(manifest, name, precision)
    data = graphs.to_bytes(draft.model if model is None else model, metadata)
    try:
        check_graph(data, graph_file(name, precision), draft.spec, precision, metadata)
    except BundleError as error:
        raise ExportError(f"{error}") from error
    return data


def prove_view(draft: ViewDraft, gate: Gate, data: bytes, heldout: Rows) -> None:
    """The gate for one view: checker, contract, exact weights, and agreement with torch; `ExportError`."""
    name = draft.view.name
    graphs.check_model(draft.model, draft.spec, name)
    graphs.check_weights(draft.model, draft.module, name)
    features = Inputs.of(gate.references["float64"], heldout).features
    gate.compare(name, run_graph(name, data), features, draft.references)


def view_twin(draft: ViewDraft, run: Run, manifest: Manifest, precision: Reduced, fp32: bytes) -> tuple[ViewTwin, bytes] | None:
    """The view's graph in fewer bits, and what it loses; None where that is more recall than is allowed."""
    mean, scale = run.observation.mean, run.observation.scale
    model = CONVERTERS[precision](standardise(draft.model, mean, scale))
    data = stamp_view(draft, manifest, precision, model)
    name, x = draft.view.name, np.ascontiguousarray(run.heldout, np.float32)
    outputs: dict[str, Array] = {
        kind: run_graph(name, graph, kind)(x)[name] for kind, graph in (("fp32", fp32), (precision, data))
    }
    figures = recall_at(NEIGHBOURS, _full(x, mean, scale, draft.view), outputs, draft.view.geometry)
    loss = figures["fp32"] - figures[precision]
    twin = ViewTwin(precision=precision, bytes_ratio=len(data) / len(fp32), recall_loss=loss)
    return (twin, data) if loss <= MOST_RECALL_LOSS[precision] and len(data) < len(fp32) else None


def _full(x: Rows, mean: Matrix, scale: Matrix, view: View) -> Matrix:
    rows = x.astype(np.float64)
    return rows if view.geometry == "cosine" else (rows - mean) / scale
