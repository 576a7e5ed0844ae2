"""The views of a bundle in memory: folded, traced, proven against torch, and their twins of lower precision."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from aaptvae.bundle.graph_specs import view_spec
from aaptvae.bundle.manifest import Manifest, View, ViewTwin, graph_file
from aaptvae.rows import Array, Matrix, Rows
from aaptvae_training import Run
from aaptvae_training.similarity import NEIGHBOURS, Chosen, Geometry, MetricMap, SimilarityHead, recall_at

from ..graph import (
    TracedGraph,
    check_model,
    check_weights,
    compact_metric,
    fold_encoder,
    fold_metric,
    fold_similarity,
    inverse_of,
)
from ..proof import Gate, Graph, Inputs, Outputs, run_graph
from ..variants import CONVERTERS, Reduced, unfold_scaler
from .stamp import stamp

MOST_RECALL_LOSS: dict[Reduced, float] = {"int8": 0.02, "fp16": 0.005}  # a view that loses more keeps its fp32 graph


@dataclass(frozen=True)
class ViewDraft:
    """One view: its entry in the manifest, its traced graph, and what that must compute, by floating-point type.

    `inverse` holds the arrays of `views.npz` that map it back to mu.
    """

    view: View
    graph: TracedGraph
    references: Mapping[str, Graph]
    inverse: dict[str, Matrix] | None = None

    def compute(self, x: Rows) -> Rows:
        """The view of raw rows as the float64 reference computes it, rounded: float32 [N, dim]."""
        return self.references["float64"](x)[self.view.name].astype(np.float32)


def draft_views(run: Run, gate: Gate) -> list[ViewDraft]:
    """The traced views of a run, metric first; none for a run that was trained before there were views."""
    if run.views is None:
        return []
    views, metric, width = run.views, compact_metric(run.views.metric, gate.subspace), run.model.input_dim
    entry = _view(views.geometry, "metric", len(metric.offset), views.metric_choice)
    references = {name: _metric_reference(reference.encode, metric) for name, reference in gate.references.items()}
    module = fold_metric(fold_encoder(run.model, gate.subspace), metric)
    graph = TracedGraph.of(entry.name, module, view_spec(width, entry))
    drafts = [ViewDraft(entry, graph, references, inverse_of(metric))]
    if views.head is not None and views.head_choice is not None:
        entry = _view(views.geometry, "similarity", views.head.linear.out_features, views.head_choice)
        types = {"torch": torch.float32, "float64": torch.float64}
        references = {name: _head_reference(views.head, dtype) for name, dtype in types.items()}
        graph = TracedGraph.of(entry.name, fold_similarity(views.head), view_spec(width, entry))
        drafts.append(ViewDraft(entry, graph, references))
    return drafts


def _view(geometry: Geometry, name: str, dim: int, choice: Chosen) -> View:
    return View(
        name=name,  # type: ignore[arg-type] # one of the two literals
        dim=dim,
        geometry=geometry,
        method=choice.method,
        recall=choice.recall,
        start_recall=choice.start_recall,
    )


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


def prove_views(drafts: Iterable[ViewDraft], gate: Gate, manifest: Manifest, heldout: Rows) -> dict[str, bytes]:
    """The fp32 files of the views, checked and compared with the trained model; `ExportError`."""
    files: dict[str, bytes] = {}
    features = Inputs.of(gate.float64, heldout).features
    for draft in drafts:
        name = draft.view.name
        check_model(draft.graph)
        files |= stamp(manifest, "fp32", [draft.graph])
        check_weights(draft.graph)
        gate.compare(name, run_graph(name, files[graph_file(name)]), features, draft.references)
    return files


def view_twins(
    draft: ViewDraft, run: Run, manifest: Manifest, files: Mapping[str, bytes]
) -> tuple[tuple[ViewTwin, ...], dict[str, bytes]]:
    """The view's graphs at the reduced precisions of the manifest, as far as they lose little recall, and their files."""
    twins, added = [], {}
    for admitted in manifest.twins:
        name = graph_file(draft.view.name, admitted.precision)
        twin, data = _view_twin(draft, run, manifest, admitted.precision, files[graph_file(draft.view.name)])
        if twin.recall_loss <= MOST_RECALL_LOSS[admitted.precision] and twin.bytes_ratio < 1:
            twins.append(twin)
            added[name] = data
    return tuple(twins), added


def _view_twin(draft: ViewDraft, run: Run, manifest: Manifest, precision: Reduced, fp32: bytes) -> tuple[ViewTwin, bytes]:
    """The view's graph in fewer bits, and the recall@10 of held-out rows that it loses."""
    scaler, view = run.model.scaler, draft.view
    mean, scale = scaler.mean.numpy(), scaler.scale.numpy()
    model = CONVERTERS[precision](unfold_scaler(draft.graph.model, mean, scale, scaler.constant.numpy()))
    data = stamp(manifest, precision, [replace(draft.graph, model=model)])[graph_file(view.name, precision)]
    x = np.ascontiguousarray(run.heldout, np.float32)
    outputs: dict[str, Array] = {
        "fp32": run_graph(view.name, fp32)(x)[view.name],
        precision: run_graph(view.name, data, precision)(x)[view.name],
    }
    full = x.astype(np.float64) if view.geometry == "cosine" else (x - mean) / scale
    figures = recall_at(NEIGHBOURS, full, outputs, view.geometry)
    loss = figures["fp32"] - figures[precision]
    return ViewTwin(precision=precision, bytes_ratio=len(data) / len(fp32), recall_loss=loss), data
