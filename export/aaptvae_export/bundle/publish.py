"""Write a drafted bundle to a folder or a zip, load it from there, and publish it under its final name."""

import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from aaptvae.bundle.manifest import MANIFEST, Manifest
from aaptvae.bundle.packing import zipped
from aaptvae.bundle.reading import read_bundle
from aaptvae.engine.network import Settings
from aaptvae.errors import BundleError, InputError
from aaptvae.files.publish import publish_file, publish_folder, refuse_existing
from aaptvae.rows import Rows
from aaptvae.vae import VAE
from aaptvae_training import Run, read_run

from ..errors import ExportError
from ..options import ExportOptions
from .draft import draft_bundle


@dataclass(frozen=True)
class Export:
    """A published bundle: its digest, manifest, files by name, and rows per second by precision, which no file holds.

    `aaptvae.load` takes it as it takes the path.
    """

    path: Path
    digest: str
    manifest: Manifest
    files: dict[str, bytes]
    rows_per_second: dict[str, float]

    def __fspath__(self) -> str:
        return str(self.path)

    def report(self) -> dict[str, Any]:
        """Digest, comparison with the model, and figures as plain values."""
        names = ("name", "parity", "twins", "compaction")
        facts = {name: msgspec.to_builtins(getattr(self.manifest, name)) for name in names}
        return {"digest": self.digest, **facts, "rows_per_second": self.rows_per_second}

    def summary(self) -> list[str]:
        """The same as lines of text."""
        manifest, parity, cut = self.manifest, self.manifest.parity, self.manifest.compaction
        difference, graph = max((case.difference, case.graph) for case in parity.worst if case.reference == "float64")
        lines = [
            f"{self.path}: {manifest.input_dim} features, {manifest.latent_dim} latents, sha256 {self.digest}",
            f"parity: {parity.comparisons} comparisons, largest difference from float64 {difference:.2g} ({graph}), "
            f"tolerance {parity.tolerance:.2g}",
        ]
        if cut is not None:
            kept = f"{manifest.latent_dim} of {cut.trained_latent_dim} latents kept"
            lines.append(f"compact: {kept}, R2 loss {cut.r2_loss:.3g}, ELBO loss {cut.elbo_loss:.3g} nats")
        speed = self.rows_per_second
        return lines + [
            f"{twin.precision}: {twin.bytes_ratio:.0%} of the bytes, R2 loss {twin.r2_loss:.2g}, ELBO loss "
            f"{twin.elbo_loss:.3g} nats, {speed[twin.precision]:,.0f} rows/s here, "
            f"{speed[twin.precision] / speed['fp32']:.1f} times fp32's"
            for twin in manifest.twins
        ]


def export(
    run: Run | str | os.PathLike[str], destination: str | os.PathLike[str], *, force: bool = False, **options: Any
) -> Export:
    """Export a run, or the run in a folder, as a bundle at `destination`: a folder, or one file if its name ends in .zip.

    `options` are those of `ExportOptions`: `precisions=("fp32", "int8")`, `name`, ... `force` replaces a bundle. Raises
    `ExportError` where a graph does not compute the trained model, `RunError` for a run that cannot be read, and `InputError`
    for an option out of range; after an error nothing is at `destination`.
    """
    if unknown := options.keys() - {field.name for field in fields(ExportOptions)}:
        known = ", ".join(field.name for field in fields(ExportOptions))
        raise InputError(f"got the option {min(unknown)}: expected {known}")
    archive = Path(destination).suffix == ".zip"
    chosen = ExportOptions(**options)
    return export_bundle(run if isinstance(run, Run) else read_run(run), destination, chosen, archive=archive, force=force)


def export_bundle(
    run: Run,
    destination: str | os.PathLike[str],
    options: ExportOptions | None = None,
    *,
    archive: bool = False,
    force: bool = False,
) -> Export:
    """Publish `run` at `destination`, a folder or (`archive`) one zip; after an `ExportError` nothing is there."""
    target = Path(os.path.realpath(destination))
    refuse_existing(target, force)
    draft = draft_bundle(run, options or ExportOptions())
    if archive:
        with publish_file(target, force=force) as temporary:
            temporary.write_bytes(zipped(draft.files))
            _check_written(temporary, draft.manifest)
    else:
        with publish_folder(target, force=force) as temporary:
            for name, data in draft.files.items():
                (temporary / name).write_bytes(data)
            _check_written(temporary, draft.manifest)
    digest = hashlib.sha256(draft.files[MANIFEST]).hexdigest()
    return Export(target, digest, draft.manifest, draft.files, draft.rows_per_second)


def packed_run(path: str | os.PathLike[str]) -> tuple[bytes, Rows, dict[str, list[str]]]:
    """A bundle of the run in a folder as the bytes of one zip, written nowhere, and the run's held-out rows [N, D + C].

    And their ids, by the names of the columns that hold them.
    """
    run = read_run(path)
    columns = zip(*run.heldout_ids or [], strict=True)
    ids = {name: [*values] for name, values in zip(run.config.ids, columns, strict=True)}
    return zipped(draft_bundle(run, ExportOptions()).files), run.heldout, ids


def _check_written(path: Path, manifest: Manifest) -> None:
    """Load the written files as a user does: digests, structure, golden vectors of every precision; `ExportError`."""
    try:
        written = read_bundle(path)
        for precision in manifest.precisions:
            VAE(written, precision, Settings())
    except BundleError as error:
        raise ExportError(f"the written bundle does not load: {error}") from error
