"""A bundle with its files checked and its graphs open, the base of `VAE`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .bundle import Bundle, Manifest, Precision
from .bundle.golden import Golden, Replay
from .bundle.graph_check import check_graphs
from .bundle.manifest import GOLDEN, LOAD_TOLERANCE
from .conditions import NO_CONDITION, ConditionLike, Conditions
from .densities import read_densities
from .engine import Network, Settings, require_memory
from .errors import InputError
from .rows import BLOCK, Rows, as_rows, shaped
from .tables import UNNAMED, TableLike, as_table, filled
from .tables.refused import refuse_other_order
from .views import Views

_SESSIONS = 1.5  # bytes of sessions for each of their graphs, by measurement


class LoadedBundle:
    """Prior, observation model and networks of a bundle, compared with its golden vectors; `BundleError` where they differ."""

    def __init__(self, source: Bundle, precision: Precision, settings: Settings, *, golden: bool = True) -> None:
        manifest = source.manifest
        if precision not in manifest.precisions:
            raise InputError(
                f"precision is {precision!r}: expected {', '.join(manifest.precisions)}, as in this bundle: choose one, or "
                f"export with --precision {precision}"
            )
        self._source, self.precision, self._settings, self._golden = source, precision, settings, golden
        graphs = sum(len(source.files[name]) for name in manifest.graphs(precision))
        require_memory("opening the graphs of this bundle", _SESSIONS * graphs, "free memory, or load another precision")
        self._densities = read_densities(source)
        self.observation = self._densities.observation
        replayed = Golden.read(source.files[GOLDEN], manifest, self.observation.unit) if golden else None
        check_graphs(manifest, source.files, precision)
        self.views = Views(source, precision, settings, replayed)
        self._encoder, self._decoder = (
            Network.of(manifest, source.files, graph, precision, settings) for graph in ("encoder", "decoder")
        )
        self._encoder.columns = manifest.columns
        self._conditions = Conditions(manifest.conditions) if manifest.conditions else None
        if replayed is not None:
            self._replay(replayed)

    def _replay(self, golden: Golden) -> None:
        encoder, decoder = self._encoder.run_single_threaded, self._decoder.run_single_threaded
        encode, decode = (lambda x, c: encoder(x, ("mu", "logvar"), c)), (lambda z, c: decoder(z, ("reconstruction",), c)[0])
        for replay in golden.replay(encode, decode, self.precision, self.on_cpu, LOAD_TOLERANCE):
            replay.require()

    def replay(self, golden: Golden, tolerance: float) -> tuple[Replay, ...]:
        """How far the results here are from these golden vectors, computed as calls are."""
        return golden.replay(self._posterior, self._decoded, self.precision, self.on_cpu, tolerance)

    def _posterior(self, x: ArrayLike, c: Rows | None, out: Sequence[Rows] | None = None) -> tuple[Rows, Rows]:
        return tuple(self._encoder(x, ("mu", "logvar"), out, c))  # type: ignore[return-value]

    def _decoded(self, z: ArrayLike, c: Rows | None, out: Rows | None = None) -> Rows:
        return self._decoder(z, ("reconstruction",), None if out is None else (out,), c)[0]

    def __repr__(self) -> str:
        name, widths = self.manifest.name, f"{self.input_dim} features, {self.latent_dim} latents"
        return f"<VAE {name}: {widths}, {self.precision} on {', '.join(self.providers)}>"

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle."""
        return self._source.manifest

    @property
    def digest(self) -> str:
        """SHA-256 of the bundle's manifest, for `load(sha256=...)`."""
        return self._source.digest

    @property
    def input_dim(self) -> int:
        """D, the width of features."""
        return self.manifest.input_dim

    @property
    def latent_dim(self) -> int:
        """L, the width of latents."""
        return self.manifest.latent_dim

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the features [D], None for a model that was trained on columns without names."""
        return self.manifest.columns

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions, empty for a model without; `manifest.conditions` has their categories."""
        return () if self._conditions is None else self._conditions.names

    @property
    def providers(self) -> list[str]:
        """Active execution providers, in order of preference."""
        return self._encoder.providers

    @property
    def on_cpu(self) -> bool:
        """True if only the CPU provider is active, whose fp32 is exact."""
        return self.providers == ["CPUExecutionProvider"]

    @property
    def batch_size(self) -> int:
        """Rows per call of the encoder."""
        return self._encoder.chunk

    def features(self, x: TableLike, passthrough: Sequence[str] = ()) -> ArrayLike:
        """`x` as numbers [N, D]: its named columns in the order of `columns`, without those in `passthrough` (`as_table`)."""
        if type(x) is not np.ndarray or x.dtype.names is not None:
            x = as_table(x, columns=self.columns or UNNAMED, passthrough=passthrough).values
        return x if self.manifest.missing == "error" else filled(x, self.observation.mean)

    def _inputs(self, x: TableLike, condition: ConditionLike) -> tuple[ArrayLike, Rows | None]:
        """`x` as numbers [N, D], and its conditions c [N, C] where the model has some."""
        if self._conditions is None:
            return self.features(x), None if condition is None else self.conditions_of(condition, 0)
        if condition is not None:
            refuse_other_order(x, condition, "condition")
        held = self._conditions.within(x, self.input_dim)
        values = shaped(self.features(x, passthrough=tuple(held)), self.input_dim)
        return values, self.conditions_of(condition, len(values), held)

    def conditions_of(
        self, condition: ConditionLike, rows: int, held: Mapping[str, Sequence[Any]] | None = None, first: int = 0
    ) -> Rows | None:
        """c [rows, C] of a condition and of columns that the rows hold; None for a model without conditions.

        `first` is the number of the first row in errors. Raises `InputError` as every method with a `condition` does.
        """
        if self._conditions is not None:
            return self._conditions.of_rows(condition, rows, held, first)
        if condition is not None:
            raise InputError(NO_CONDITION)
        return None

    def _chunks(self, rows: int, copies: int = 1) -> Iterator[tuple[int, int]]:
        """Start and stop of chunks of whole blocks, so that products in numpy do not depend on the batch size."""
        size = -(-self.batch_size // (copies * BLOCK)) * BLOCK
        return ((start, min(start + size, rows)) for start in range(0, rows, size))

    def _parts(self, x: ArrayLike, c: Rows | None, copies: int = 1) -> Iterator[tuple[slice, Rows, Rows | None]]:
        """Chunks of features [N, D] and conditions [N, C]: where each is, its rows and their conditions."""
        features = shaped(x, self.input_dim)
        for start, stop in self._chunks(len(features), copies):
            part = slice(start, stop)
            yield part, as_rows(features[part], self.input_dim, "x", start, self.columns), None if c is None else c[part]
