"""The tiny bundle, its VAE and rows for it; no test here needs torch, and those that make graphs need onnx."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import aaptvae
from aaptvae.bundle.manifest import Condition, encode_manifest
from aaptvae.bundle.reading import read_manifest

TINY = Path(__file__).parent / "tiny"
CONDITIONS = (Condition(name="kind", categories=("a", "b", "c")), Condition(name="age", mean=40.0, scale=10.0))


@pytest.fixture(scope="session")
def tiny() -> Path:
    return TINY


@pytest.fixture(scope="session")
def overflowing() -> np.ndarray:
    """A row whose first latent is above float32 in any order of additions: its weights in the tiny bundle have these signs."""
    return np.array([3.4e38, -3.4e38, -3.4e38, 3.4e38, 3.4e38], np.float32)


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


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of five features with a category and a number beside them."""
    pytest.importorskip("onnx", reason="onnx is not installed: it makes the graphs")
    import make_tiny  # noqa: PLC0415 - needs onnx

    files = make_tiny.make_files(make_tiny.weights(3, given=4), conditions=CONDITIONS)
    return make_tiny.write(tmp_path_factory.mktemp("bundles") / "given", files)


@pytest.fixture(scope="session")
def conditional(given: Path) -> aaptvae.VAE:
    return aaptvae.load(given)


@pytest.fixture(scope="session")
def given_rows() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    rows = {f"f{index}": rng.standard_normal(300).astype(np.float32) for index in range(5)}
    return rows | {"kind": rng.choice(["a", "b", "c"], 300), "age": rng.normal(40, 10, 300)}
