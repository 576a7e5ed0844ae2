"""Limits that a pair of lower precision must meet to be published: loss on held-out rows, bytes, and speed here."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from aaptvae.bundle.manifest import Manifest, Precision, Twin, graph_file
from aaptvae.density.observation import ObservationModel
from aaptvae.engine.network import Network, Settings
from aaptvae.rows import Rows

from ..errors import ExportError
from ..proof import Evidence, Graph, gather, run_graph

Reduced = Literal["int8", "fp16"]

_TIMED_ROWS = 1024
_TIMED_ROUNDS = 51


@dataclass(frozen=True)
class LossLimits:
    """Largest losses of R2 and of ELBO (nats per feature), least mean cosine of mu, largest share of fp32's bytes."""

    r2_loss: float
    elbo_loss: float
    mu_cosine: float
    bytes_ratio: float


LIMITS: dict[Reduced, LossLimits] = {
    "int8": LossLimits(r2_loss=0.01, elbo_loss=0.05, mu_cosine=0.99, bytes_ratio=0.6),
    "fp16": LossLimits(r2_loss=1e-3, elbo_loss=0.01, mu_cosine=0.9999, bytes_ratio=0.99),
}


@dataclass
class Admission:
    """Compares pairs of lower precision with the fp32 pair on the same held-out rows and in the same process.

    int8 must compute at least `speedup` times fp32's rows per second; fp16 must only be smaller.
    """

    observation: ObservationModel
    heldout: Rows
    files: Mapping[str, bytes]
    manifest: Manifest
    speedup: float = 1.0
    rows_per_second: dict[str, float] = field(default_factory=dict)

    @cached_property
    def fp32(self) -> Evidence:
        """Evidence of the fp32 pair."""
        return self.gather(*_load(self.files, "fp32"))

    def gather(self, encode: Graph, decode: Graph) -> Evidence:
        """Evidence of any pair on the held-out rows."""
        return gather(encode, decode, self.observation, self.heldout)

    def admit(self, precision: Reduced, twin: Mapping[str, bytes]) -> Twin:
        """Figures of the files `twin`; `ExportError` names the one beyond its limit."""
        before, after = self.fp32, self.gather(*_load(twin, precision))
        figures = Twin(
            precision=precision,
            bytes_ratio=_size(twin, precision) / _size(self.files, "fp32"),
            r2_loss=before.r2 - after.r2,
            elbo_loss=before.elbo - after.elbo,
            mu_cosine=after.cosine(before),
        )
        self._check_losses(figures, unexplained=1 - before.r2)
        self._measure_speed(precision, twin)
        return figures

    def _check_losses(self, twin: Twin, unexplained: float) -> None:
        limits, rows = LIMITS[twin.precision], f"on {len(self.heldout)} held-out rows"
        r2_limit = limits.r2_loss * max(1.0, unexplained)  # where R2 is below 0, the limit is a share of the error
        elbo_limit = limits.elbo_loss * self.manifest.input_dim
        checks = (
            (twin.r2_loss <= r2_limit, f"R2 is {twin.r2_loss:.4g} below fp32's {rows}; at most {r2_limit:.4g} is allowed"),
            (
                twin.elbo_loss <= elbo_limit,
                f"ELBO is {twin.elbo_loss:.4g} nats below fp32's {rows}; at most {elbo_limit:.4g} is allowed",
            ),
            (
                twin.mu_cosine >= limits.mu_cosine,
                f"mean cosine of mu with fp32's is {twin.mu_cosine:.5f} {rows}; at least {limits.mu_cosine:.5g} is expected",
            ),
            (
                twin.bytes_ratio <= limits.bytes_ratio,
                f"the files have {twin.bytes_ratio:.0%} of fp32's bytes; at most {limits.bytes_ratio:.0%} is allowed",
            ),
        )
        for passed, words in checks:
            if not passed:
                raise ExportError(f"{twin.precision} encoder and decoder: {words}: export without --precision {twin.precision}")

    def _measure_speed(self, precision: Reduced, twin: Mapping[str, bytes]) -> None:
        whole = np.resize(self.heldout, (_TIMED_ROWS, self.heldout.shape[1]))
        rows, c = whole[:, : self.manifest.input_dim], whole[:, self.manifest.input_dim :] if self.manifest.conditions else None
        pairs: dict[Precision, Mapping[str, bytes]] = {"fp32": self.files, precision: twin}
        runners = {
            name: [Network.of(self.manifest, files, graph, name, Settings()) for graph in ("encoder", "decoder")]
            for name, files in pairs.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(_TIMED_ROUNDS):  # alternately, so that other load slows both; the fastest round of each counts
            for name, (encoder, decoder) in runners.items():
                started = time.perf_counter()
                decoder(encoder(rows, ("mu", "logvar"), None, c)[0], ("reconstruction",), None, c)
                seconds[name].append(time.perf_counter() - started)
        self.rows_per_second |= {name: _TIMED_ROWS / min(times) for name, times in seconds.items()}
        fast, slow = self.rows_per_second[precision], self.rows_per_second["fp32"]
        if precision == "int8" and fast < self.speedup * slow:
            raise ExportError(
                f"int8 encoder and decoder: {fast:,.0f} rows per second here where fp32 does {slow:,.0f}, {fast / slow:.2f} "
                f"times; expected at least {self.speedup:g}: export without --precision int8, with a lower --speedup, or "
                "on a processor with 8-bit instructions"
            )


def _load(files: Mapping[str, bytes], precision: Precision) -> tuple[Graph, Graph]:
    names = [graph_file(graph, precision) for graph in ("encoder", "decoder")]
    encoder, decoder = (run_graph(name, files[name], precision) for name in names)
    return encoder, decoder


def _size(files: Mapping[str, bytes], precision: Precision) -> int:
    return sum(len(files[graph_file(graph, precision)]) for graph in ("encoder", "decoder"))
