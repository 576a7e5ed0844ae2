"""The gate: results of the graphs to be published, run by onnxruntime, compared with those of the trained model."""

import sys
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from aaptvae.bundle.manifest import LOAD_TOLERANCE, TOLERANCE, Parity, ParityCase, Precision
from aaptvae.density.observation import ObservationModel
from aaptvae.engine.cpus import usable_cpus
from aaptvae.engine.network import Settings, open_session
from aaptvae.errors import BundleError
from aaptvae.rows import Rows
from aaptvae_training import AAPTVAE
from aaptvae_training.model.as_numpy import observation_of

from ..errors import ExportError
from ..graph import Subspace
from .reference import BATCHES, Graph, Inputs, Outputs, Reference, with_conditions

SLACK = 3.0  # times torch's own float32 error: operations are ordered differently on every processor
COMPOSED_ROWS = 512

_METHODS = {"encoder": "encode", "decoder": "decode", "reconstruct": "reconstruct"}

_Case = tuple[str, str, int, str]  # graph, reference, batch, kind of inputs


def _differences(got: Outputs, expected: Outputs, unit: NDArray[np.float64]) -> dict[str, float]:
    """max |got - expected| of each output over max(1, max |expected|) of all; infinite where a number is not finite.

    A reconstruction is divided by `unit` [D] first, or an error in a column of small numbers would be lost beside a column of
    large ones. All outputs are divided by one maximum, because logvar is clipped after it was rounded: its own maximum
    can be far below the numbers that were rounded.
    """
    scale = {name: unit if name == "reconstruction" else np.ones(1) for name in expected}
    largest = max([1.0, *(float((np.abs(value) / scale[name]).max(initial=0)) for name, value in expected.items())])
    gap = {name: np.abs(got[name].astype(np.float64) - value) / scale[name] for name, value in expected.items()}
    figures = {name: float(value.max(initial=0)) / largest for name, value in gap.items()}
    return {name: figure if np.isfinite(figure) else float("inf") for name, figure in figures.items()}


class Gate:
    """Compares graphs with the trained model in float64 and float32 and keeps the worst cases; `ExportError` if one is too far.

    A graph passes if its difference from the float64 model is at most the largest of three bounds: `tolerance`; torch's own
    difference from float64 in float32; and, unless `tolerance` is below the default, three times that difference up to
    `LOAD_TOLERANCE`. The difference from torch in float32 is recorded and refuses nothing: with narrow posteriors torch
    subtracts large products that the folded graph does not contain, and is the less exact of the two.
    """

    def __init__(self, model: AAPTVAE, subspace: Subspace | None = None, tolerance: float = TOLERANCE) -> None:
        self.references = {
            "torch": Reference(model, subspace, torch.float32),
            "float64": Reference(model, subspace, torch.float64),
        }
        self.torch32, self.float64 = self.references.values()
        self.unit = observation_of(model).unit
        self.subspace, self.latent_dim = subspace, self.references["torch"].latent_dim
        self.tolerance, self.loosest, self.comparisons = tolerance, tolerance, 0
        self.worst: dict[tuple[str, str], ParityCase] = {}

    def compare(self, graph: str, run: Graph, kinds: dict[str, Rows], references: Mapping[str, Graph] | None = None) -> None:
        """Run `graph` on every kind of rows and every batch size, beside `references`: by default the model's own method."""
        if references is None:
            references = {name: getattr(reference, _METHODS[graph]) for name, reference in self.references.items()}
        for kind, rows in kinds.items():
            expected = {name: reference(rows) for name, reference in references.items()}
            for batch in (batch for batch in BATCHES if batch <= len(rows)):
                got = _run(graph, run, rows[:batch])
                torch32, float64 = (
                    {output: values[:batch] for output, values in expected[name].items()} for name in ("torch", "float64")
                )
                rounding = max(_differences(torch32, float64, self.unit).values())
                self._check((graph, "float64", batch, kind), got, float64, rounding)
                self._record((graph, "torch", batch, kind), _differences(got, torch32, self.unit))

    def _check(self, case: _Case, got: Outputs, expected: Outputs, rounding: float = 0.0) -> None:
        """Refuse a difference that neither the tolerance nor torch's own error, `rounding`, allows."""
        graph, reference, batch, kind = case
        shapes = [{name: value.shape for name, value in outputs.items()} for outputs in (got, expected)]
        if shapes[0] != shapes[1]:
            raise ExportError(f"{graph}: returns {shapes[0]} for {batch} rows; {reference} returns {shapes[1]}")
        figures = _differences(got, expected, self.unit)
        usual = self.tolerance if self.tolerance < TOLERANCE else min(max(TOLERANCE, SLACK * rounding), LOAD_TOLERANCE)
        for output, figure in figures.items():
            allowed = usual if figure <= usual else max(usual, rounding)
            if not (np.isfinite(figure) and figure <= allowed):
                raise ExportError(
                    f"{graph}: {output} differs from {reference} by {figure:.3g} on {batch} {kind} rows, torch's float32 by "
                    f"{rounding:.3g}; the tolerance is {usual:.3g}: nothing was published"
                )
            if figure > self.tolerance:
                self.loosest = max(self.loosest, allowed)
        self._record(case, figures)

    def _record(self, case: _Case, figures: dict[str, float]) -> None:
        graph, reference, batch, kind = case
        self.comparisons += len(figures)
        figure = min(max(figures.values()), sys.float_info.max)
        if case[:2] not in self.worst or figure > self.worst[case[:2]].difference:
            self.worst[case[:2]] = ParityCase(graph=graph, reference=reference, batch=batch, inputs=kind, difference=figure)

    def compare_density(self, observation: ObservationModel, x: Rows) -> None:
        """The bundle's observation model (sigma, basis, scaler) beside torch's likelihood on the same rows."""
        reconstruction = self.torch32.reconstruct(x)["reconstruction"].astype(np.float32)
        if observation.kind == "bernoulli":
            reconstruction = reconstruction.clip(1e-6, 1 - 1e-6)  # torch and the runtime clip log(0) at different values
        expected = {"log density": self.float64.log_density(x, reconstruction)}
        got = {"log density": observation.log_density(x[:, : reconstruction.shape[1]], reconstruction)}
        self._check(("likelihood", "float64", len(x), "held-out"), got, expected)

    def report(self) -> Parity:
        """The worst case of each graph against float64, and against torch where that is above the tolerance."""
        told = (case for case in self.worst.values() if case.reference == "float64" or case.difference > self.loosest)
        return Parity(tolerance=self.loosest, comparisons=self.comparisons, worst=tuple(told))


def check_parity(gate: Gate, encoder: bytes, decoder: bytes, heldout: Rows) -> None:
    """Compare both graphs, and the two composed, with the trained model; `ExportError` at the first that differs too much."""
    encode, decode = run_graph("encoder", encoder), run_graph("decoder", decoder)

    def reconstruct(x: Rows) -> Outputs:
        return decode(with_conditions(encode(x)["mu"], x, gate.float64.condition_dim))

    inputs = Inputs.of(gate.float64, heldout)
    gate.compare("encoder", encode, inputs.features)
    gate.compare("decoder", decode, inputs.latents)
    composed = {kind: inputs.features[kind][:COMPOSED_ROWS] for kind in ("held-out", "ordinary")}
    gate.compare("reconstruct", reconstruct, composed)


def run_graph(graph: str, data: bytes, precision: Precision = "fp32") -> Graph:
    """A function of rows that runs the graph in `data` with onnxruntime on the CPU, outputs by name; `ExportError`.

    Where the graph has two inputs, rows have the columns of both side by side.
    """
    try:
        session = open_session(data, precision, usable_cpus(), Settings())
    except BundleError as error:
        raise ExportError(f"{graph}: {error}") from error
    inputs, names = session.get_inputs(), [output.name for output in session.get_outputs()]
    width = inputs[0].shape[1]

    def run(rows: Rows) -> Outputs:
        parts = [rows] if len(inputs) == 1 else [rows[:, :width], rows[:, width:]]
        fed = {source.name: np.ascontiguousarray(part) for source, part in zip(inputs, parts, strict=True)}
        return dict(zip(names, session.run(names, fed), strict=True))

    return run


def _run(graph: str, run: Graph, rows: Rows) -> Outputs:
    try:
        return run(rows)
    except Exception as error:  # onnxruntime's errors have no common base class
        raise ExportError(f"{graph}: does not run on a batch of {len(rows)} rows: {error}") from error
