"""The gate: what is about to be published computes what torch computes, or it is refused with the figures.

Graphs are run by onnxruntime from the bytes that are written, never from the objects they came from.
"""

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aaptvae.bundle.golden import LOAD_TOLERANCE, TOLERANCE
from aaptvae.bundle.manifest import Parity, ParityCase, Precision
from aaptvae.engine.cpus import usable_cpus
from aaptvae.engine.network import Settings, open_session
from aaptvae.errors import BundleError
from aaptvae_training import AAPTVAE
from aaptvae_training.model import losses
from aaptvae_training.model.as_numpy import observation_of

from ..errors import ExportError
from ..graph.folding import Subspace

SLACK = 3.0  # times torch's own float32 error: operations are ordered differently on every processor
BATCHES = (0, 1, 2, 7, 64, 257, 4096)

Rows = NDArray[np.float32]
Outputs = Mapping[str, NDArray[np.floating[Any]]]
Graph = Callable[[Rows], Outputs]
Density = Callable[[Rows, Rows], NDArray[np.float64]]
Case = tuple[str, str, int, str]  # graph, reference, batch, kind of inputs

_METHODS = {"encoder": "encode", "decoder": "decode", "reconstruct": "reconstruct"}


class Reference:
    """The trained model itself, unfolded, at one floating-point precision; in the kept subspace if there is one."""

    def __init__(self, model: AAPTVAE, subspace: Subspace | None, dtype: torch.dtype) -> None:
        self.model = copy.deepcopy(model).eval().to("cpu", dtype)
        # torch's float32 model subtracts the rounded mean: that network, not the statistics, is what was trained.
        self.model.scaler.mean = self.model.scaler.mean.float().to(dtype)
        self.subspace, self.dtype = subspace, dtype
        self.latent_dim = model.latent_dim if subspace is None else len(subspace.basis)

    @torch.no_grad()
    def encode(self, x: Rows) -> Outputs:
        """Posterior parameters as the encoder graph names them."""
        mu, logvar = self.model.encode(self._tensor(x))
        if self.subspace is not None:
            mu = mu @ self.subspace.basis.to(self.dtype).T
            logvar = (logvar.exp() @ self.subspace.spread.to(self.dtype).T).log()
        return {"mu": mu.numpy(), "logvar": logvar.numpy()}

    @torch.no_grad()
    def decode(self, z: Rows) -> Outputs:
        """Reconstruction as the decoder graph names it."""
        latents = self._tensor(z)
        if self.subspace is not None:
            latents = latents @ self.subspace.basis.to(self.dtype) + self.subspace.offset.to(self.dtype)
        return {"reconstruction": self.model.decode(latents).numpy()}

    def reconstruct(self, x: Rows) -> Outputs:
        """The decoder's mean at the encoder's mean."""
        return self.decode(self.encode(x)["mu"])

    @torch.no_grad()
    def log_density(self, x: Rows, reconstruction: Rows) -> NDArray[np.floating[Any]]:
        """log p(x | z) per row, in nats."""
        target, mean, scaler = self._tensor(x), self._tensor(reconstruction), self.model.scaler
        if self.model.likelihood == "bernoulli":
            nll = losses.bernoulli_nll(mean, target)
        else:
            nll = self.model.negative_log_likelihood(scaler.to_scaled(mean) - scaler.to_scaled(target))
        values: NDArray[np.floating[Any]] = -nll.numpy()
        return values

    def _tensor(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows).to(self.dtype)


@dataclass(frozen=True)
class Inputs:
    """Named kinds of input rows for both graphs, `max(BATCHES)` of each."""

    features: dict[str, Rows]
    latents: dict[str, Rows]

    @classmethod
    def of(cls, reference: Reference, heldout: Rows) -> "Inputs":
        """Held-out, ordinary, zero, large (1e3 deviations) and subnormal rows for this model."""
        generator = np.random.default_rng(0)
        scaler = reference.model.scaler
        mean, scale = scaler.mean.double().numpy(), scaler.scale.double().numpy()
        noise = generator.standard_normal((max(BATCHES), len(mean)))
        ordinary = generator.random(noise.shape) if reference.model.likelihood == "bernoulli" else mean + scale * noise
        features: Outputs = {
            "held-out": np.resize(heldout, noise.shape),
            "ordinary": ordinary,
            "large": mean + 1e3 * scale * noise,
            "subnormal": 1e-40 * noise,
            "zero": 0 * noise,
        }
        noise = generator.standard_normal((max(BATCHES), reference.latent_dim))
        # A sigmoid hides the size of what is added up inside, so that larger ones would leave the sum too few digits.
        large = 10.0 if reference.model.likelihood == "bernoulli" else 1e3
        latents = {"ordinary": noise, "large": large * noise, "subnormal": 1e-40 * noise, "zero": 0 * noise}
        return cls(rounded(features), rounded(latents))


def rounded(arrays: Outputs) -> dict[str, Rows]:
    """The arrays as float32."""
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def differences(got: Outputs, expected: Outputs, unit: NDArray[np.float64]) -> dict[str, float]:
    """max |got - expected| of each output over max(1, max |expected|) of all; infinite where a number is not finite.

    A reconstruction is measured in `unit` [D], each feature's own, or a wrong column of small numbers would hide behind
    one of large numbers. The outputs share one size because logvar is cut to a range after it was rounded.
    """
    scale = {name: unit if name == "reconstruction" else np.ones(1) for name in expected}
    largest = max([1.0, *(float((np.abs(value) / scale[name]).max(initial=0)) for name, value in expected.items())])
    gap = {name: np.abs(got[name].astype(np.float64) - value) / scale[name] for name, value in expected.items()}
    figures = {name: float(value.max(initial=0)) / largest for name, value in gap.items()}
    return {name: figure if np.isfinite(figure) else float("inf") for name, figure in figures.items()}


class Gate:
    """Compares graphs with the trained model in float64 and float32 and keeps the worst cases; `ExportError` if one is too far.

    The float64 model decides. A graph may differ from it by `tolerance`; by a few times torch's own float32 error, up to
    `LOAD_TOLERANCE`, unless the caller has asked for a tolerance below the default; and always by as much as torch's own
    float32 differs. The difference from torch in float32 is recorded and never refused by itself: with narrow posteriors
    torch subtracts large products that the folded graph does not contain, and is then the less exact of the two.
    """

    def __init__(self, model: AAPTVAE, subspace: Subspace | None = None, tolerance: float = TOLERANCE) -> None:
        self.references = {
            "torch": Reference(model, subspace, torch.float32),
            "float64": Reference(model, subspace, torch.float64),
        }
        self.unit = observation_of(model).unit
        self.latent_dim = self.references["torch"].latent_dim
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
                rounding = max(differences(torch32, float64, self.unit).values())
                self._check((graph, "float64", batch, kind), got, float64, rounding)
                self._record((graph, "torch", batch, kind), differences(got, torch32, self.unit))

    def _check(self, case: Case, got: Outputs, expected: Outputs, rounding: float = 0.0) -> None:
        """Refuse a difference that neither the tolerance nor torch's own error, `rounding`, allows."""
        graph, reference, batch, kind = case
        shapes = [{name: value.shape for name, value in outputs.items()} for outputs in (got, expected)]
        if shapes[0] != shapes[1]:
            raise ExportError(f"{graph}: returns {shapes[0]} for {batch} rows; {reference} returns {shapes[1]}")
        figures = differences(got, expected, self.unit)
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

    def _record(self, case: Case, figures: dict[str, float]) -> None:
        graph, reference, batch, kind = case
        self.comparisons += len(figures)
        figure = min(max(figures.values()), sys.float_info.max)
        if case[:2] not in self.worst or figure > self.worst[case[:2]].difference:
            self.worst[case[:2]] = ParityCase(graph=graph, reference=reference, batch=batch, inputs=kind, difference=figure)

    def compare_density(self, log_density: Density, x: Rows, reconstruction: Rows) -> None:
        """The bundle's observation model (sigma, basis, scaler) beside torch's likelihood on the same rows."""
        if self.references["torch"].model.likelihood == "bernoulli":
            reconstruction = reconstruction.clip(1e-6, 1 - 1e-6)  # torch and the runtime cut log(0) at different depths
        expected = self.references["float64"].log_density(x, reconstruction)
        got = {"log density": log_density(x, reconstruction)}
        self._check(("likelihood", "float64", len(x), "held-out"), got, {"log density": expected})

    def report(self) -> Parity:
        """The manifest's record: the worst case of each graph against float64, and against torch where that is beyond the tolerance."""
        told = (case for case in self.worst.values() if case.reference == "float64" or case.difference > self.loosest)
        return Parity(tolerance=self.loosest, comparisons=self.comparisons, worst=tuple(told))


def check_parity(gate: Gate, encoder: bytes, decoder: bytes, heldout: Rows) -> None:
    """Compare both graphs, and the two composed, with torch; `ExportError` at the first difference beyond tolerance."""
    encode, decode = run_graph("encoder", encoder), run_graph("decoder", decoder)
    inputs = Inputs.of(gate.references["float64"], heldout)
    gate.compare("encoder", encode, inputs.features)
    gate.compare("decoder", decode, inputs.latents)
    composed = {kind: inputs.features[kind][:512] for kind in ("held-out", "ordinary")}
    gate.compare("reconstruct", lambda x: decode(encode(x)["mu"]), composed)


def run_graph(graph: str, data: bytes, precision: Precision = "fp32") -> Graph:
    """A function of rows that runs these bytes on the CPU, outputs by name."""
    try:
        session = open_session(data, precision, usable_cpus(), Settings())
    except BundleError as error:
        raise ExportError(f"{graph}: {error}") from error
    source, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    return lambda rows: dict(zip(names, session.run(names, {source: rows}), strict=True))


def _run(graph: str, run: Graph, rows: Rows) -> Outputs:
    try:
        return run(rows)
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise ExportError(f"{graph}: does not run on a batch of {len(rows)} rows: {error}") from error
