"""The tiny bundle, its VAE and rows for it; no test here needs torch, and those that make graphs need onnx."""

from pathlib import Path

import numpy as np
import pytest

import aaptvae

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
