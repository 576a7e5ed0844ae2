"""A bundle in memory: folded, traced, proven against torch, described. Writing it down is `exporter.py`."""

import hashlib
import importlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import onnx
import torch
from torch import nn

from aaptvae.bundle import manifest as bundle
from aaptvae.bundle.graph_check import check_graph
from aaptvae.bundle.manifest import Compaction, FileEntry, GraphSpec, Manifest, Precision, graph_file
from aaptvae.bundle.npz import read_npz, write_npz
from aaptvae.density import observation as likelihood
from aaptvae.density.observation import ObservationModel
from aaptvae.errors import BundleError, InputError
from aaptvae_training import Run

from ..errors import ExportError
from ..graph import onnx_model as graphs
from ..graph.folding import Subspace, fold_decoder, fold_encoder
from ..proof.gate import TOLERANCE, Gate, Inputs, Reference, Rows, check_parity
from ..variants.admission import Judge, Reduced
from ..variants.compaction import compact_prior, find_subspace
from ..variants.low_rank import thin
from ..variants.quantization import CONVERTERS, standardise
from .card import write_card

REDUCED: tuple[Reduced, ...] = ("int8", "fp16")
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
GOLDEN_ROWS = 8
GOLDEN_HOSTILE = 2
PRODUCERS = ("aaptvae", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class ExportOptions:
    """What the caller chooses: twins beside fp32, share of latent variance to keep, a tighter tolerance, a name."""

    precisions: tuple[Precision, ...] = ("fp32",)
    compact: float | None = None
    tolerance: float = TOLERANCE
    name: str | None = None
    speedup: float = 1.0  # int8's least rows per second, in fp32's

    def __post_init__(self) -> None:
        if not 0 < self.tolerance <= TOLERANCE:
            raise InputError(
                f"tolerance is {self.tolerance:g}: expected above 0 and at most {TOLERANCE:g}: it may only tighten"
            )
        if self.compact is not None and not 0 < self.compact <= 1:
            raise InputError(f"compact is {self.compact}: expected a share of mu's variance above 0, at most 1, such as 0.999")
        if not 0 <= self.speedup < math.inf:
            raise InputError(f"speedup is {self.speedup:g}: expected a factor from 0 up, 3 for three times fp32's speed")
        if self.name is not None and not NAME.fullmatch(self.name):
            raise InputError(f"name is {self.name!r}: expected up to 64 letters, digits, dots, dashes and underscores")


@dataclass(frozen=True)
class Draft:
    """Every file of a bundle by name, its manifest, and rows per second by precision."""

    files: dict[str, bytes]
    manifest: Manifest
    rows_per_second: dict[str, float]


@dataclass(frozen=True)
class Half:
    """One graph on its way: what was folded, what was traced from it, and the contract it must keep."""

    name: str
    module: nn.Module
    model: onnx.ModelProto
    spec: GraphSpec

    @classmethod
    def of(cls, name: str, module: nn.Module, spec: GraphSpec) -> "Half":
        """Trace `module`."""
        return cls(name, module, graphs.trace(module, spec, name), spec)


def draft_bundle(run: Run, options: ExportOptions) -> Draft:
    """Everything that will be published, proven; `ExportError` names the graph and the figure that failed."""
    heldout = np.ascontiguousarray(run.heldout, np.float32)
    if not len(heldout):
        raise ExportError("the run holds no held-out rows to prove the export on: train with a test share above 0")
    subspace = None
    if options.compact is not None:
        subspace = find_subspace(Reference(run.model, None, torch.float64), heldout, options.compact)
    gate = Gate(run.model, subspace, options.tolerance)
    widths = run.model.input_dim, gate.latent_dim
    folded = fold_encoder(run.model, subspace)
    encoder = Half.of("encoder", folded, bundle.encoder_spec(*widths))
    decoder = Half.of("decoder", fold_decoder(run.model, subspace), bundle.decoder_spec(*widths))
    manifest = describe(run, gate, graphs.pair_id(encoder.model, decoder.model), options.name)
    files = _arrays(run, subspace, gate, heldout) | _stamp(manifest, "fp32", (encoder, decoder))
    prove(gate, (encoder, decoder), files, manifest, heldout)

    judge = Judge(run.observation, heldout, files, manifest, options.speedup)
    scaler = gate.references["float64"].model.scaler
    statistics = scaler.mean.numpy(), scaler.scale.numpy()
    twins = []
    for precision in REDUCED:
        if precision not in options.precisions:
            continue
        source = encoder.model
        if precision == "int8":
            source = thin(source, folded, Inputs.of(gate.references["torch"], heldout).features)
        models = standardise(source, *statistics), decoder.model
        halves = [
            replace(half, model=CONVERTERS[precision](model)) for half, model in zip((encoder, decoder), models, strict=True)
        ]
        twin = _stamp(manifest, precision, halves)
        for half in halves:
            check_structure(half.name, precision, twin, manifest)
        twins.append(judge.admit(precision, twin))
        files |= twin
    loss = None if options.compact is None else _compaction(run, judge, options.compact)
    manifest = msgspec.structs.replace(manifest, parity=gate.report(), twins=tuple(twins), compaction=loss)
    return _finish(manifest, files, judge.rows_per_second)


def prove(gate: Gate, halves: tuple[Half, Half], files: dict[str, bytes], manifest: Manifest, heldout: Rows) -> None:
    """The whole gate: checker, contract, exact weights, parity of both graphs and of the likelihood; `ExportError`."""
    for half in halves:
        graphs.check_model(half.model, half.spec, half.name)
        check_structure(half.name, "fp32", files, manifest)
        graphs.check_weights(half.model, half.module, half.name)
    encoder, decoder = (files[graph_file(half.name)] for half in halves)
    check_parity(gate, encoder, decoder, heldout)
    reference = gate.references["torch"]
    arrays = read_npz(files[bundle.LIKELIHOOD], bundle.LIKELIHOOD, likelihood.ARRAYS, likelihood.OPTIONAL)
    observation = ObservationModel.from_arrays(reference.model.likelihood, arrays)
    gate.compare_density(observation.log_density, heldout, reference.reconstruct(heldout)["reconstruction"])


def check_structure(graph: str, precision: Precision, files: dict[str, bytes], manifest: Manifest) -> None:
    """What the runtime will ask of the graph before it runs it; `ExportError`."""
    name, spec = graph_file(graph, precision), manifest.encoder if graph == "encoder" else manifest.decoder
    try:
        check_graph(files[name], name, spec, precision, bundle.metadata(manifest, graph, precision))
    except BundleError as error:
        raise ExportError(f"{error}") from error


def _stamp(manifest: Manifest, precision: Precision, halves: Iterable[Half]) -> dict[str, bytes]:
    """Files of a pair, each half marked with the pair it belongs to."""
    return {
        graph_file(half.name, precision): graphs.to_bytes(half.model, bundle.metadata(manifest, half.name, precision))
        for half in halves
    }


def _arrays(run: Run, subspace: Subspace | None, gate: Gate, heldout: Rows) -> dict[str, bytes]:
    """Prior, likelihood and golden vectors: real rows first, then hostile ones, with torch's own outputs."""
    prior = run.prior if subspace is None else compact_prior(run.prior, subspace)
    torch32, torch64 = gate.references.values()
    inputs = Inputs.of(torch32, heldout)
    hostile = np.concatenate([rows[:GOLDEN_HOSTILE] for rows in inputs.features.values()])
    # Verification knows outputs only: where logvar is cut to its range, it cannot know how rounded the sum was.
    errors = np.abs(torch32.encode(hostile)["logvar"] - torch64.encode(hostile)["logvar"]).max(axis=1)
    x = np.concatenate([heldout[:GOLDEN_ROWS], hostile[errors < gate.tolerance / 10]])
    posterior = torch32.encode(x)
    z = np.concatenate([posterior["mu"], *(rows[:GOLDEN_HOSTILE] for rows in inputs.latents.values())])
    real = np.array([min(len(heldout), GOLDEN_ROWS)])
    return {
        bundle.PRIOR: write_npz(prior.to_arrays()),
        bundle.LIKELIHOOD: write_npz(run.observation.to_arrays()),
        bundle.GOLDEN: write_npz({"x": x, **posterior, "z": z, **torch32.decode(z), "real_rows": real}),
    }


def _compaction(run: Run, judge: Judge, share: float) -> Compaction:
    """What leaving latents out costs, beside the whole model on the same rows."""
    whole = Reference(run.model, None, torch.float32)
    before, after = judge.gather(whole.encode, whole.decode), judge.fp32
    return Compaction(
        trained_latent_dim=run.model.latent_dim,
        variance_share=share,
        r2_loss=before.r2 - after.r2,
        elbo_loss=before.elbo - after.elbo,
    )


def describe(run: Run, gate: Gate, pair: str, name: str | None) -> Manifest:
    """The manifest before there are files, twins or a parity report."""
    model, sigma = run.model, run.model.sigma
    kind = run.observation.kind
    noise = "none" if kind == "bernoulli" else "fixed" if isinstance(sigma, int | float) else sigma
    components = len(run.prior.weights)
    identity = bool((model.scaler.mean == 0).all() and (model.scaler.scale == 1).all())
    # Runs of before hold no mask; columns that never moved, and few others, were given the scale 1.
    mask = model.scaler.constant
    constant = (model.scaler.scale == 1 if mask is None else mask).sum()
    return Manifest(
        schema_version=bundle.SCHEMA_VERSION,
        name=name or f"vae-{model.input_dim}-{gate.latent_dim}",
        input_dim=model.input_dim,
        latent_dim=gate.latent_dim,
        hidden_dims=tuple(model.hidden_dims),
        linear_skip=model.linear_skip,
        likelihood=bundle.Likelihood(
            kind=kind,
            noise=noise,
            sigma=0.0 if kind == "bernoulli" else float(np.sqrt(np.mean(np.square(run.observation.sigma)))),
            freedom=run.observation.freedom if kind == "student" else 0.0,
        ),
        scaler=bundle.Scaler(kind="identity" if identity else "standard", constant_columns=0 if identity else int(constant)),
        prior=bundle.Prior(
            kind="mixture" if components > 1 else "gaussian" if components else "standard", components=components
        ),
        opset=20,
        ir_version=10,
        pair_id=pair,
        encoder=bundle.encoder_spec(model.input_dim, gate.latent_dim),
        decoder=bundle.decoder_spec(model.input_dim, gate.latent_dim),
        files=(),
        parity=gate.report(),
        twins=(),
        training=run.summary,
        producer={package: str(importlib.import_module(package).__version__) for package in PRODUCERS},
    )


def _finish(manifest: Manifest, files: dict[str, bytes], rows_per_second: dict[str, float]) -> Draft:
    files = files | {bundle.MODEL_CARD: write_card(manifest).encode()}
    entries = tuple(
        FileEntry(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items())
    )
    manifest = msgspec.structs.replace(manifest, files=entries)
    return Draft({bundle.MANIFEST: bundle.encode_manifest(manifest), **files}, manifest, rows_per_second)
