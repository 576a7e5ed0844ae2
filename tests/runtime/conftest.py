"""The tiny bundle, its VAE and rows for it; no test here needs torch, and those that make graphs need onnx."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import aaptvae
from aaptvae.bundle.manifest import encode_manifest
from aaptvae.bundle.reading import read_manifest

TINY = Path(__file__).parent / "tiny"


@pytest.fixture(scope="session")
def tiny() -> Path:
    return TINY


@pytest.fixture(scope="session")
def vae(tiny: Path) -> aaptvae.VAE:
    return aaptvae.load(tiny)


@pytest.fixture(scope="session")
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((300, 5)).astype(np.float32)


def with_fields(source: Path, target: Path, **fields: Any) -> Path:
    """A copy of a bundle whose manifest has other fields."""
    shutil.copytree(source, target)
    manifest = msgspec.structs.replace(read_manifest((target / "manifest.json").read_bytes()), **fields)
    (target / "manifest.json").write_bytes(encode_manifest(manifest))
    return target


@pytest.fixture(scope="session")
def named(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, with its features named a to e."""
    return with_fields(tiny, tmp_path_factory.mktemp("bundles") / "named", columns=tuple("abcde"))


@pytest.fixture(scope="session")
def filling(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, which replaces missing values."""
    return with_fields(tiny, tmp_path_factory.mktemp("bundles") / "filling", columns=tuple("abcde"), missing="mean")
