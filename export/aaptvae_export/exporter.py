"""A run in, a published bundle out. What is published was built and proven in memory first (`draft.py`)."""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from aaptvae.bundle import MANIFEST, Manifest
from aaptvae.publish import publish_file, publish_folder, refuse_existing
from aaptvae_training import Run

from .draft import ExportOptions, draft_bundle


@dataclass(frozen=True)
class Export:
    """A published bundle: its manifest, its digest, and rows per second by precision, which no file of it holds."""

    path: Path
    digest: str
    manifest: Manifest
    rows_per_second: dict[str, float]


def export_bundle(
    run: Run, destination: str | os.PathLike[str], options: ExportOptions | None = None, *, archive: bool = False, force: bool = False
) -> Export:
    """Publish `run` at `destination`, a folder or (`archive`) one zip; an `ExportError` of the gate leaves nothing there."""
    target = Path(os.path.realpath(destination))
    refuse_existing(target, force)
    draft = draft_bundle(run, options or ExportOptions())
    if archive:
        with publish_file(target, force=force) as temporary:
            temporary.write_bytes(pack(draft.files))
    else:
        with publish_folder(target, force=force) as temporary:
            for name, data in draft.files.items():
                (temporary / name).write_bytes(data)
    digest = hashlib.sha256(draft.files[MANIFEST]).hexdigest()
    return Export(target, digest, draft.manifest, draft.rows_per_second)


def pack(files: dict[str, bytes]) -> bytes:
    """The files as one zip that is the same on every day: sorted, stored, undated."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return data.getvalue()
