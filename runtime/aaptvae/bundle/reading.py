"""Read a bundle from a directory or a .zip and check every byte against its manifest before use.

Without pathlib, whose import takes 3 ms of every cold start.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from ..errors import BundleError
from ..open_flags import UNTRUSTED
from .manifest import (
    DECODERS,
    GOLDEN,
    LIKELIHOOD,
    MANIFEST,
    MODEL_CARD,
    PRIOR,
    UNSEALED,
    VIEWS,
    FileEntry,
    Manifest,
    decoder_spec,
    encoder_spec,
    seal,
)

_MANIFEST_LIMIT = 1 << 20
_BUNDLE_LIMIT = 1 << 30
_ZIP_RATIO, _ZIP_TEXT = 4, 16 << 20  # trained weights compress little: a higher ratio means a zip bomb

_OPEN = os.O_RDONLY | UNTRUSTED | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory: `digest` is the SHA-256 of its manifest, `files` the checked bytes of every listed file."""

    path: str
    digest: str
    manifest: Manifest
    files: Mapping[str, bytes]


def read_bundle(path: str | os.PathLike[str], *, sha256: str | None = None) -> Bundle:
    """The bundle at `path`; raises `BundleError` if it is incomplete, changed, or has another digest than `sha256`."""
    path = os.fspath(path)
    if not os.path.isabs(path):  # a pickled VAE may be loaded from another folder
        path = _absolute(path)
    with _source(path) as read:
        data = read(MANIFEST, _MANIFEST_LIMIT)
        digest = hashlib.sha256(data).hexdigest()
        if sha256 is not None and sha256.lower() != digest:
            raise BundleError(f"{path} has digest {digest}: expected {sha256}: this is another bundle than the pinned one")
        manifest = read_manifest(data)
        _check_names(manifest)
        files = {entry.name: _checked(read(entry.name, entry.bytes), entry) for entry in manifest.files}
    return Bundle(path, digest, manifest, MappingProxyType(files))


def _absolute(path: str) -> str:
    try:
        return os.path.join(os.getcwd(), path)
    except OSError:
        raise BundleError(f"cannot read {path}: the working directory is gone: give an absolute path") from None


def read_manifest(data: bytes) -> Manifest:
    """The manifest in `data`; raises `BundleError` unless it is strict JSON of this schema with an unbroken seal."""
    try:
        # Decoded first: json.loads would accept UTF-16 and lone surrogates.
        fields = json.loads(data.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST} is not strict JSON ({error}): fetch the bundle again") from None
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if type(version) is not int or version < 1:
        raise BundleError(f"{MANIFEST} has schema_version {version!r}: expected 1 to {max(DECODERS)}: this is not a bundle")
    if version not in DECODERS:
        raise BundleError(
            f"{MANIFEST} has schema {version}: this aaptvae reads up to {max(DECODERS)}: pip install --upgrade aaptvae"
        )
    try:
        manifest = DECODERS[version](data)
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


def _check_names(manifest: Manifest) -> None:
    _check_views(manifest)
    names = [entry.name for entry in manifest.files]
    expected = {name for precision in manifest.precisions for name in manifest.graphs(precision)}
    expected |= {PRIOR, LIKELIHOOD, GOLDEN, MODEL_CARD} | ({VIEWS} if manifest.view("metric") else set())
    if sorted(names) != sorted(expected):
        raise BundleError(f"{MANIFEST} lists {', '.join(names)}: expected {', '.join(sorted(expected))}, each once")
    size = sum(entry.bytes for entry in manifest.files)
    if size > _BUNDLE_LIMIT:
        raise BundleError(f"{MANIFEST} lists {size} bytes of files: expected {_BUNDLE_LIMIT} at most")
    widths = manifest.input_dim, manifest.latent_dim
    if (manifest.encoder, manifest.decoder) != (encoder_spec(*widths), decoder_spec(*widths)):
        raise BundleError(
            f"{MANIFEST} describes other graphs than {widths[0]} features and {widths[1]} latents need: export the bundle again"
        )


def _checked(data: bytes, entry: FileEntry) -> bytes:
    if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BundleError(
            f"{entry.name} is not the file the manifest describes ({len(data)} bytes, {entry.bytes} "
            "expected; or another SHA-256): fetch the bundle again"
        )
    return data


@contextmanager
def _source(path: str) -> Iterator[Callable[[str, int], bytes]]:
    """A function that reads a file of the bundle by name, up to a number of bytes."""
    try:
        if not os.path.isdir(path):
            from .zips import unzip  # noqa: PLC0415 (6 ms of a cold start)

            data = _read(os.path.realpath(path), None, _BUNDLE_LIMIT)
            members = unzip(data, os.path.basename(path), min(_BUNDLE_LIMIT, _ZIP_RATIO * len(data) + _ZIP_TEXT))
            yield lambda name, limit: _member(members, name, limit)
        elif os.open in os.supports_dir_fd:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                yield lambda name, limit: _read(name, folder, limit)
            finally:
                os.close(folder)
        else:
            yield lambda name, limit: _read(os.path.join(path, name), None, limit)
    except BundleError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        if os.path.isfile(os.path.join(path, "metrics.jsonl")):
            raise BundleError(
                f"{path} is a training run: expected a bundle: make one with aaptvae export {path} -o BUNDLE"
            ) from None
        why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
        raise BundleError(
            f"cannot read {path} ({why}): expected a bundle, a folder or a .zip with manifest.json and the files it lists"
        ) from None


def _member(members: dict[str, bytes], name: str, limit: int) -> bytes:
    if name not in members:
        raise BundleError(f"the zip has no {name}: it holds {', '.join(members)}")
    if len(members[name]) > limit:
        raise BundleError(f"{name} has {len(members[name])} bytes: expected {limit} at most")
    return members[name]


def _read(path: str, folder: int | None, limit: int) -> bytes:
    descriptor = os.open(path, _OPEN, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise BundleError(
                f"{os.path.basename(path)} is a folder, a device, a pipe or one of {status.st_nlink} hard links: "
                "expected a regular file with one link: copy the bundle"
            )
        if status.st_size > limit:
            raise BundleError(f"{os.path.basename(path)} has {status.st_size} bytes: expected {limit} at most: fetch it again")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit + 1)
    finally:
        os.close(descriptor)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")
