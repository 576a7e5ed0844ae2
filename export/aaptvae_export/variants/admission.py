"""Whether a twin of lower precision is worth shipping: a small loss on held-out rows, and smaller or faster here."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from aaptvae.bundle.manifest import Manifest, Precision, Twin, graph_file
from aaptvae.density.observation import ObservationModel
from aaptvae.engine.network import Network, Settings

from ..errors import ExportError
from ..proof.evidence import Evidence, gather
from ..proof.gate import Graph, Rows, run_graph

Reduced = Literal["int8", "fp16"]

TIMED_ROWS = 1024
TIMED_ROUNDS = 51


@dataclass(frozen=True)
class Bounds:
    """The most a twin may lose (R2, ELBO in nats per feature), least cosine of mu, largest share of bytes."""

    r2_loss: float
    elbo_loss: float
    mu_cosine: float
    bytes_ratio: float


BOUNDS: dict[Reduced, Bounds] = {
    "int8": Bounds(r2_loss=0.01, elbo_loss=0.05, mu_cosine=0.99, bytes_ratio=0.6),
    "fp16": Bounds(r2_loss=1e-3, elbo_loss=0.01, mu_cosine=0.9999, bytes_ratio=0.99),
}


@dataclass
class Judge:
    """Compares twins with the fp32 pair on the same held-out rows and in the same process.

    int8 must do at least `speedup` times fp32's rows per second; for fp16 smaller is enough.
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
        """The twin's figures, or an `ExportError` that says which of them is out of bounds."""
        before, after = self.fp32, self.gather(*_load(twin, precision))
        figures = Twin(
            precision=precision,
            bytes_ratio=_size(twin, precision) / _size(self.files, "fp32"),
            r2_loss=before.r2 - after.r2,
            elbo_loss=before.elbo - after.elbo,
            mu_cosine=after.cosine(before),
        )
        self._check_losses(figures, unexplained=1 - before.r2)
        self._race(precision, twin)
        return figures

    def _check_losses(self, twin: Twin, unexplained: float) -> None:
        bounds = BOUNDS[twin.precision]
        limits = {
            "R2 loss": (twin.r2_loss, bounds.r2_loss * max(1.0, unexplained)),  # a model worse than the mean has more to lose
            "ELBO loss": (twin.elbo_loss, bounds.elbo_loss * self.heldout.shape[1]),
            "1 - cosine of mu": (1 - twin.mu_cosine, 1 - bounds.mu_cosine),
            "share of fp32's bytes": (twin.bytes_ratio, bounds.bytes_ratio),
        }
        for name, (figure, limit) in limits.items():
            if not figure <= limit:
                raise ExportError(
                    f"{twin.precision} encoder and decoder: {name} on {len(self.heldout)} held-out rows is "
                    f"{figure:.4g}; the bound is {limit:.4g}: export without --precision {twin.precision}"
                )

    def _race(self, precision: Reduced, twin: Mapping[str, bytes]) -> None:
        rows = np.resize(self.heldout, (TIMED_ROWS, self.heldout.shape[1]))
        runners = {"fp32": self._networks("fp32", self.files), precision: self._networks(precision, twin)}
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(TIMED_ROUNDS):  # in turns, so that a busy machine slows both; the best of each counts
            for name, (encoder, decoder) in runners.items():
                started = time.perf_counter()
                decoder(encoder(rows, ("mu", "logvar"))[0], ("reconstruction",))
                seconds[name].append(time.perf_counter() - started)
        self.rows_per_second |= {name: TIMED_ROWS / min(times) for name, times in seconds.items()}
        fast, slow = self.rows_per_second[precision], self.rows_per_second["fp32"]
        if precision == "int8" and fast < self.speedup * slow:
            raise ExportError(
                f"int8 encoder and decoder: {fast:,.0f} rows per second here where fp32 does {slow:,.0f}, {fast / slow:.2f} "
                f"times; expected at least {self.speedup:g}: export without --precision int8, with a lower --speedup, or "
                "on a processor with 8-bit instructions"
            )

    def _networks(self, precision: Precision, files: Mapping[str, bytes]) -> list[Network]:
        """Encoder and decoder as the runtime drives them, with its chunks and threads."""
        halves = (("encoder", self.manifest.encoder, 1), ("decoder", self.manifest.decoder, -1))
        return [
            Network(files[graph_file(name, precision)], spec, self.manifest.hidden_dims[::order], precision, Settings())
            for name, spec, order in halves
        ]


def _load(files: Mapping[str, bytes], precision: Precision) -> tuple[Graph, Graph]:
    names = [graph_file(graph, precision) for graph in ("encoder", "decoder")]
    encoder, decoder = (run_graph(name, files[name], precision) for name in names)
    return encoder, decoder


def _size(files: Mapping[str, bytes], precision: Precision) -> int:
    return sum(len(files[graph_file(graph, precision)]) for graph in ("encoder", "decoder"))
