"""Check a bundle and compare its results on this machine with torch's: a report, where `load` raises."""

from collections.abc import Sequence
from dataclasses import dataclass

from .bundle.golden import Golden, Replay
from .bundle.manifest import GOLDEN, LOAD_TOLERANCE, TOLERANCE, Precision
from .bundle.reading import Card, read_bundle
from .bundle.sources import Place
from .engine.network import Provider, Settings
from .vae import VAE


@dataclass(frozen=True)
class PrecisionReport:
    """Comparison with the golden vectors at one precision."""

    precision: Precision
    providers: tuple[str, ...]
    replays: tuple[Replay, ...]

    @property
    def passed(self) -> bool:
        """True if every tensor is within its tolerance."""
        return all(replay.passed for replay in self.replays)


@dataclass(frozen=True)
class Report:
    """Result of checking every file's digest, the graphs, and the golden vectors at each precision.

    `card` says whether the model card, which may be edited, is as exported.
    """

    name: str
    digest: str
    files: int
    bytes: int
    card: Card
    precisions: tuple[PrecisionReport, ...]

    @property
    def passed(self) -> bool:
        """True if every precision passed."""
        return all(report.passed for report in self.precisions)


def verify(
    path: Place,
    *,
    precisions: Sequence[Precision] | None = None,
    providers: Sequence[Provider] | None = None,
    sha256: str | None = None,
) -> Report:
    """The report on the bundle at `path`; raises `BundleError` if it is damaged, `ProviderError` as `load` does."""
    bundle = read_bundle(path, sha256=sha256, card=True)
    # The exporter raises its tolerance where torch's own float32 error is larger; `load` limits it.
    allowed, reports = min(max(TOLERANCE, bundle.manifest.parity.tolerance), LOAD_TOLERANCE), []
    for precision in precisions or bundle.manifest.precisions:
        vae = VAE(bundle, precision, Settings(providers=providers), golden=False)
        golden = Golden.read(bundle.files[GOLDEN], bundle.manifest, vae.observation.unit)
        replays = vae.replay(golden, allowed)
        replays += tuple(vae.views.replay(name, golden, allowed) for name in vae.views.names)
        reports.append(PrecisionReport(precision, tuple(vae.providers), replays))
    listed = bundle.manifest.files
    size = sum(entry.bytes for entry in listed)
    return Report(bundle.manifest.name, bundle.digest, len(listed) + 1, size, bundle.card, tuple(reports))
