"""Read a bundle and check every byte against its manifest before use; `sources.py` opens the files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from ..errors import BundleError
from .graph_specs import decoder_spec, encoder_spec
from .manifest import (
    GOLDEN,
    LIKELIHOOD,
    MANIFEST,
    MARGINALS,
    MODEL_CARD,
    MOST_CONDITIONS,
    PRIOR,
    SCHEMAS,
    UNSEALED,
    VIEWS,
    FileEntry,
    Manifest,
    decode_manifest,
    seal,
)
from .sources import BUNDLE_LIMIT, Place, Read, opened

_MANIFEST_LIMIT = _CARD_LIMIT = 1 << 20

Card = Literal["not read", "as exported", "edited", "not readable"]


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory: `digest` is the SHA-256 of its manifest, `files` the checked bytes of manifest and listed files.

    `source` opens it again: an absolute path, an hf:// address with its commit, or the bytes of a zip. The model card is
    not part of what runs and not in `files`.
    """

    source: str | bytes
    digest: str
    manifest: Manifest
    files: Mapping[str, bytes]
    card: Card = "not read"


def read_bundle(place: Place, *, sha256: str | None = None, card: bool = False) -> Bundle:
    """The bundle at `place`: a folder, a .zip, hf://OWNER/NAME, the bytes of a .zip or a .zip opened with "rb".

    Raises `BundleError` if it is incomplete, changed, or has another digest than `sha256`. `card` also compares the
    model card, whose changes are not an error.
    """
    with opened(place) as source:
        data = source.read(MANIFEST, _MANIFEST_LIMIT)
        _check_line_ends(data)
        digest = hashlib.sha256(data).hexdigest()
        if sha256 is not None and sha256.lower() != digest:
            raise BundleError(
                f"{source.label} has digest {digest}: expected {sha256}: this is another bundle than the pinned one"
            )
        manifest = read_manifest(data)
        _check_names(manifest)
        entries = {entry.name: entry for entry in manifest.files}
        listed = entries.pop(MODEL_CARD)
        files = {name: _checked(source.read(name, entry.bytes), entry) for name, entry in entries.items()}
        found = _card(source.read, listed) if card else "not read"
    return Bundle(source.again(), digest, manifest, MappingProxyType({MANIFEST: data} | files), found)


def read_card(place: Place) -> bytes:
    """The model card of the bundle at `place`, edited or not; `BundleError` if it has none."""
    with opened(place) as source:
        return source.read(MODEL_CARD, _CARD_LIMIT)


def _card(read: Read, entry: FileEntry) -> Card:
    try:
        return "as exported" if _matches(read(MODEL_CARD, _CARD_LIMIT), entry) else "edited"
    except (BundleError, OSError):
        return "not readable"


def _check_line_ends(data: bytes) -> None:
    if b"\r\n" in data:  # the exporter writes none
        raise BundleError(
            f"{MANIFEST} has CRLF line ends, expected LF: git converts them with core.autocrlf: write "
            "`* -text` to .gitattributes beside the bundle and check it out again, or fetch the bundle again"
        )


def read_manifest(data: bytes) -> Manifest:
    """The manifest in `data`; raises `BundleError` unless it is strict JSON of this schema with an unbroken seal."""
    try:
        # Decoded first: json.loads would accept UTF-16 and lone surrogates.
        fields = json.loads(data.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not strict JSON ({error}): fetch the bundle again") from None
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if type(version) is not int or version < 1:
        raise BundleError(f"{MANIFEST} has schema_version {version!r}: expected 1 to {max(SCHEMAS)}: this is not a bundle")
    if version not in SCHEMAS:
        raise BundleError(
            f"{MANIFEST} has schema {version}: this aaptvae reads up to {max(SCHEMAS)}: pip install --upgrade aaptvae"
        )
    try:
        manifest = decode_manifest(data, version)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} does not follow the schema ({error}): export the bundle again") from None
    if manifest.seal != seal(data.replace(manifest.seal.encode(), UNSEALED)):
        raise BundleError(f"{MANIFEST} was changed after it was sealed: fetch the bundle again, or export it again")
    return manifest


def _check_views(manifest: Manifest) -> None:
    names, metric = [view.name for view in manifest.views], manifest.view("metric")
    if len(set(names)) < len(names) or (metric is not None and metric.dim != manifest.latent_dim):
        raise BundleError(
            f"{MANIFEST} has views {', '.join(names)}: expected each once, and metric of latent_dim numbers: export it again"
        )
    twins = {twin.precision for view in manifest.views for twin in view.twins}
    if not twins <= set(manifest.precisions):
        raise BundleError(
            f"a view in {MANIFEST} has twins of precisions {', '.join(sorted(twins))}: this bundle holds "
            f"{', '.join(manifest.precisions)}: export it again"
        )


def _check_conditions(manifest: Manifest) -> None:
    names = [condition.name for condition in manifest.conditions]
    clashes = {*names} & {*(manifest.columns or ())} or len({*names}) < len(names)
    twice = any(len({*each.categories}) < len(each.categories) for each in manifest.conditions)
    if clashes or twice or manifest.condition_dim > MOST_CONDITIONS:
        raise BundleError(
            f"{MANIFEST} has conditions {', '.join(names)} of {manifest.condition_dim} numbers: expected different names, none "
            f"of a feature, different categories, and at most {MOST_CONDITIONS} numbers: export the bundle again"
        )


def _check_names(manifest: Manifest) -> None:
    _check_views(manifest)
    if manifest.columns is not None and len(set(manifest.columns)) != manifest.input_dim:
        raise BundleError(
            f"{MANIFEST} names {len(set(manifest.columns))} columns: expected {manifest.input_dim} different names: "
            "export the bundle again"
        )
    names = [entry.name for entry in manifest.files]
    expected = {name for precision in manifest.precisions for name in manifest.graphs(precision)}
    expected |= {PRIOR, LIKELIHOOD, GOLDEN, MODEL_CARD}
    expected |= {name for name, has in ((VIEWS, manifest.view("metric")), (MARGINALS, manifest.marginals)) if has}
    if sorted(names) != sorted(expected):
        raise BundleError(f"{MANIFEST} lists {', '.join(names)}: expected {', '.join(sorted(expected))}, each once")
    size = sum(entry.bytes for entry in manifest.files)
    if size > BUNDLE_LIMIT:
        raise BundleError(f"{MANIFEST} lists {size} bytes of files: expected {BUNDLE_LIMIT} at most")
    _check_conditions(manifest)
    widths = manifest.input_dim, manifest.latent_dim, manifest.condition_dim
    if (manifest.encoder, manifest.decoder) != (encoder_spec(*widths), decoder_spec(*widths)):
        given = f" and {widths[2]} numbers of conditions" if widths[2] else ""
        raise BundleError(
            f"{MANIFEST} describes other graphs than {widths[0]} features and {widths[1]} latents{given} need: export the "
            "bundle again"
        )


def _checked(data: bytes, entry: FileEntry) -> bytes:
    if not _matches(data, entry):
        raise BundleError(
            f"{entry.name} is not the file the manifest describes ({len(data)} bytes, {entry.bytes} "
            "expected; or another SHA-256): fetch the bundle again"
        )
    return data


def _matches(data: bytes, entry: FileEntry) -> bool:
    return len(data) == entry.bytes and hashlib.sha256(data).hexdigest() == entry.sha256


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")
