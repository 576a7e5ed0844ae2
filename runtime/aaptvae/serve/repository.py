"""The bundles that a server holds: their names and versions, and their replacement while requests are answered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np

from ..bundle import Bundle, Precision, read_bundle
from ..engine import Settings
from ..errors import InputError
from ..vae import VAE
from ..views import ViewName
from .models import Model, models_of

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?::([1-9][0-9]{0,8}))?=(.+)", re.DOTALL)


@dataclass(frozen=True)
class ServedBundle:
    """Where a served bundle is, and its name (None: that of its manifest) and version."""

    place: str
    name: str | None = None
    version: str = "1"

    @classmethod
    def parse(cls, text: str) -> "ServedBundle":
        """`BUNDLE`, `NAME=BUNDLE` or `NAME:VERSION=BUNDLE`; for a path with = in it write ./PATH.

        `InputError` for another name or version.
        """
        match = _NAMED.fullmatch(text)
        if match is None and "=" in text and text[0] not in "./" and not Path(text).exists():
            raise InputError(
                f"{text} is no NAME=BUNDLE: expected a name of letters, digits, . _ and -, and a version from 1 up, such as "
                "digits:2=newer.zip; for a path with = in it write ./PATH"
            )
        return cls(text) if match is None else cls(match[3], match[1], match[2] or "1")

    def read(self) -> tuple[tuple[str, str], Bundle]:
        """Name and version, and the checked bytes; `BundleError` for a bundle that cannot be used."""
        bundle = read_bundle(self.place)
        return (self.name or bundle.manifest.name, self.version), bundle


Read = dict[tuple[str, str], Bundle]  # by name and version


def read_all(sources: Sequence[ServedBundle]) -> Read:
    """Every bundle by name and version; `InputError` if two of them have the same."""
    found: Read = {}
    for source in sources:
        key, bundle = source.read()
        if key in found:
            raise InputError(
                f"{source.place} is {key[0]}, version {key[1]}, as is another bundle: expected different ones: "
                f"write {key[0]}:{int(key[1]) + 1}={source.place}"
            )
        found[key] = bundle
    return found


class Repository:
    """Loaded bundles. `models` is replaced as a whole, so that a request sees one state of it."""

    def __init__(self, bundles: Read, precision: Precision, settings: Settings) -> None:
        self._precision, self._settings = precision, settings
        self._vaes: dict[tuple[str, str], VAE] = {}
        self.models: dict[str, dict[str, Model]] = {}  # by name and version, the newest version last
        self.replace(bundles)

    @property
    def digests(self) -> dict[tuple[str, str], str]:
        """The digest of every bundle, by name and version."""
        return {key: vae.digest for key, vae in self._vaes.items()}

    def replace(self, bundles: Read) -> None:
        """Serve these bundles; raises `AaptvaeError` and changes nothing if one of them cannot be loaded."""
        vaes = {key: self._loaded(key, bundle) for key, bundle in bundles.items()}
        models: dict[str, dict[str, Model]] = {}
        keys = sorted(vaes, key=lambda key: (key[0], int(key[1])))
        for model in chain.from_iterable(models_of(vaes[name, version], name, version) for name, version in keys):
            if model.version in models.setdefault(model.name, {}):
                raise InputError(f"two bundles make the model {model.name}: expected different names: write NAME=BUNDLE")
            models[model.name][model.version] = model
        self._vaes, self.models = vaes, models

    def _loaded(self, key: tuple[str, str], bundle: Bundle) -> VAE:
        held = self._vaes.get(key)
        if held is not None and held.digest == bundle.digest:
            return held
        vae = VAE(bundle, self._precision, self._settings)
        row = vae.observation.mean[None].astype("float32")
        width = vae.manifest.condition_dim
        c = np.zeros((1, width), np.float32) if width else None
        vae.score(row, condition=c)  # onnxruntime allocates at the first call: not at the first request
        for view in ("mu", *vae.views.names):
            vae.embed(row, view=cast("ViewName", view), condition=c)
        return vae
