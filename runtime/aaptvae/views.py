"""Further vectors of each row beside the posterior mean: "metric" and "similarity", one graph each (`Manifest.views`)."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from .bundle import manifest as bundle
from .bundle.golden import Golden, Replay
from .bundle.manifest import LOAD_TOLERANCE, Precision, View
from .bundle.npz import read_npz
from .bundle.reading import Bundle
from .engine import Network, Settings
from .errors import BundleError, InputError
from .rows import Rows, steady_product

ViewName = Literal["mu", "metric", "similarity"]
ARRAYS = {"inverse": 2, "offset": 1}  # of `views.npz`: mu = (metric - offset) @ inverse, [L, L] and [L]


class Views:
    """The views of a bundle. A graph is opened, and replayed against its golden vectors, when it is first used."""

    def __init__(self, source: Bundle, precision: Precision, settings: Settings, golden: Golden | None) -> None:
        self._source, self._precision, self._settings, self._golden = source, precision, settings, golden
        self._networks: dict[str, Network] = {}
        self._inverse = read_npz(source.files[bundle.VIEWS], bundle.VIEWS, ARRAYS) if "metric" in self.names else None
        latents = source.manifest.latent_dim
        if self._inverse and (self._inverse["inverse"].shape, self._inverse["offset"].shape) != (
            (latents, latents),
            (latents,),
        ):
            raise BundleError(f"{bundle.VIEWS} has another width than the manifest: export the bundle again")

    @property
    def names(self) -> tuple[str, ...]:
        """Views beside "mu"."""
        return tuple(view.name for view in self._source.manifest.views)

    def width(self, name: str) -> int:
        """How many numbers a row has in this view; `InputError` for one that the bundle lacks."""
        return self._source.manifest.latent_dim if name == "mu" else self._view(name).dim

    def network(self, name: str) -> Network:
        """The graph of this view; `InputError` where the bundle lacks it, `BundleError` where its golden vectors differ."""
        if name not in self._networks:
            network = self._open(name)
            if self._golden is not None:
                self._replay(name, network, self._golden, LOAD_TOLERANCE).require()
            self._networks.setdefault(name, network)
        return self._networks[name]

    def replay(self, name: str, golden: Golden, tolerance: float) -> Replay:
        """How far this view is from its golden vectors here."""
        return self._replay(name, self._open(name), golden, tolerance)

    def inverse(self, name: str) -> Callable[[Rows], Rows]:
        """The map from this view back to mu; `InputError` where there is none."""
        self._view(name)
        if self._inverse is None or name != "metric":
            raise InputError(f'view is {name!r}, which has no inverse: decode takes "mu" or "metric"')
        matrix, offset = (np.asarray(self._inverse[part], np.float64) for part in ("inverse", "offset"))
        return lambda rows: steady_product(rows - offset, matrix).astype(np.float32)

    def _view(self, name: str) -> View:
        found = self._source.manifest.view(name)
        if found is None:
            has = ", ".join(("mu", *self.names))
            raise InputError(f"view is {name!r}: this bundle has {has}: choose one of them, or train and export again")
        return found

    def _open(self, name: str) -> Network:
        self._view(name)
        return Network.of(self._source.manifest, self._source.files, name, self._precision, self._settings)

    def _replay(self, name: str, network: Network, golden: Golden, tolerance: float) -> Replay:
        on_cpu = network.providers == ["CPUExecutionProvider"]
        precision = self._view(name).precision(self._precision)
        return golden.replay_view(name, lambda x: network.run_single_threaded(x, (name,))[0], precision, on_cpu, tolerance)
