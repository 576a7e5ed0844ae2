"""A bundle in memory: graphs traced, compared with the trained model, and given reduced precisions."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import torch

from aaptvae.bundle.manifest import MANIFEST, MODEL_CARD, Compaction, FileEntry, Manifest, encode_manifest, graph_file
from aaptvae.densities import read_observation
from aaptvae.rows import Rows
from aaptvae_training import Run
from aaptvae_training.memory import Need, refuse_shortage

from ..errors import ExportError
from ..graph import Subspace, TracedGraph, TracedPair, check_model, check_weights, trace_pair
from ..options import ExportOptions
from ..proof import LEAST_ROWS, MOST_NUMBERS, Gate, Inputs, Reference, check_parity
from ..variants import CONVERTERS, Admission, Reduced, factor_heads, find_subspace, unfold_scaler
from .arrays import write_arrays
from .card import write_card
from .describe import manifest_of
from .stamp import stamp
from .view_draft import ViewDraft, draft_views, prove_views, view_twins

BYTES_PER_WEIGHT = 60
BYTES_PER_INPUT = 60  # of the rows that graphs are compared on: five kinds, in both precisions

_REDUCED: tuple[Reduced, ...] = ("int8", "fp16")


@dataclass(frozen=True)
class Draft:
    """Every file of a bundle by name, its manifest, and rows per second by precision."""

    files: dict[str, bytes]
    manifest: Manifest
    rows_per_second: dict[str, float]


def draft_bundle(run: Run, options: ExportOptions) -> Draft:
    """Every file to publish; `ExportError` names the graph and the figure that failed."""
    heldout = np.ascontiguousarray(run.heldout, np.float32)
    if not len(heldout):
        raise ExportError("the run holds no held-out rows to compare the graphs on: train with a test share above 0")
    refuse_shortage(_needs(run), run.config.rows, run.config.input_dim)
    gate = Gate(run.model, _subspace(run, heldout, options), options.tolerance)
    pair, views = trace_pair(run.model, gate.subspace), draft_views(run, gate)
    draft = _prove(run, gate, pair, views, heldout, options.name)
    draft = _add_twins(run, gate, pair, draft, options)
    draft = _add_view_twins(run, views, draft)
    return _complete(draft)


def _needs(run: Run) -> Iterator[Need]:
    """Bytes of an export: each weight in both precisions of torch, in several forms of the graphs, and in their sessions."""
    weights = sum(parameter.numel() for parameter in run.model.parameters())
    width, given = run.config.input_dim, run.model.condition_dim
    scaler, numbers = run.model.scaler, max(MOST_NUMBERS, LEAST_ROWS * (width + given))
    weights += 2 * width * scaler.inner if scaler.rotated else 0
    weights += width * given  # the regression on the conditions, in the decoder
    yield Need("exporting a model of", {"network": BYTES_PER_WEIGHT * weights, "rows": BYTES_PER_INPUT * numbers})


def _subspace(run: Run, heldout: Rows, options: ExportOptions) -> Subspace | None:
    if options.compact is None:
        return None
    return find_subspace(Reference(run.model, None, torch.float64), heldout, options.compact)


def _prove(run: Run, gate: Gate, pair: TracedPair, views: list[ViewDraft], heldout: Rows, name: str | None) -> Draft:
    """The fp32 files, checked and compared with the trained model; `ExportError` at the first difference beyond tolerance."""
    graphs = pair.encoder, pair.decoder
    for graph in graphs:
        check_model(graph)
    manifest = msgspec.structs.replace(manifest_of(run, gate, pair.pair_id, name), views=tuple(draft.view for draft in views))
    files = write_arrays(run, gate, heldout, views) | stamp(manifest, "fp32", graphs)
    for graph in graphs:
        check_weights(graph)
    check_parity(gate, files[graph_file("encoder")], files[graph_file("decoder")], heldout)
    gate.compare_density(read_observation(manifest, files)[0], heldout)
    files |= prove_views(views, gate, manifest, heldout)
    return Draft(files, msgspec.structs.replace(manifest, parity=gate.report()), {})


def _add_twins(run: Run, gate: Gate, pair: TracedPair, draft: Draft, options: ExportOptions) -> Draft:
    """`draft` with the reduced precisions asked for, each admitted by its figures, and with the loss of compaction."""
    heldout = np.ascontiguousarray(run.heldout, np.float32)
    admission = Admission(run.observation, heldout, draft.files, draft.manifest, options.speedup)
    files, twins = dict(draft.files), []
    for precision in _REDUCED:
        if precision in options.precisions:
            twin = stamp(draft.manifest, precision, _reduce(pair, precision, gate, heldout))
            twins.append(admission.admit(precision, twin))
            files |= twin
    loss = None if options.compact is None else _compaction_loss(run, admission, options.compact)
    manifest = msgspec.structs.replace(draft.manifest, twins=tuple(twins), compaction=loss)
    return Draft(files, manifest, admission.rows_per_second)


def _add_view_twins(run: Run, drafts: list[ViewDraft], draft: Draft) -> Draft:
    """`draft` with the views' graphs at the precisions that it holds; a view that loses too much has none."""
    views, files = [], dict(draft.files)
    for part in drafts:
        twins, added = view_twins(part, run, draft.manifest, draft.files)
        views.append(msgspec.structs.replace(part.view, twins=twins))
        files |= added
    return Draft(files, msgspec.structs.replace(draft.manifest, views=tuple(views)), draft.rows_per_second)


def _reduce(pair: TracedPair, precision: Reduced, gate: Gate, heldout: Rows) -> list[TracedGraph]:
    """Both graphs at a lower precision."""
    encoder, scaler = pair.encoder.model, gate.float64.model.scaler
    if precision == "int8":
        encoder = factor_heads(encoder, pair.encoder_layers, Inputs.of(gate.torch32, heldout).features)
    encoder = unfold_scaler(encoder, scaler.mean.numpy(), scaler.scale.numpy(), scaler.constant.numpy())
    convert = CONVERTERS[precision]
    return [replace(pair.encoder, model=convert(encoder)), replace(pair.decoder, model=convert(pair.decoder.model))]


def _compaction_loss(run: Run, admission: Admission, share: float) -> Compaction:
    """R2 and ELBO lost by the latents left out, against the whole model on the same rows."""
    whole = Reference(run.model, None, torch.float32)
    before, after = admission.gather(whole.encode, whole.decode), admission.fp32
    return Compaction(
        trained_latent_dim=run.model.latent_dim,
        variance_share=share,
        r2_loss=before.r2 - after.r2,
        elbo_loss=before.elbo - after.elbo,
    )


def _complete(draft: Draft) -> Draft:
    """`draft` with the model card, the list of files and the manifest itself."""
    files = draft.files | {MODEL_CARD: write_card(draft.manifest).encode()}
    entries = tuple(
        FileEntry(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items())
    )
    manifest = msgspec.structs.replace(draft.manifest, files=entries)
    return Draft({MANIFEST: encode_manifest(manifest), **files}, manifest, draft.rows_per_second)
