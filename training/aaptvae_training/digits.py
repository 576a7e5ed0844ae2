"""The handwritten digits that ship with this package: 1,797 images of 8 x 8 pixels (source and licence: data/README.md)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIGITS_FILE = Path(__file__).parent / "data" / "digits.npy"
IMAGE_SHAPE = (8, 8)


def load_digits() -> NDArray[np.float32]:
    """Pixel intensities 0 to 16: float32 [1797, 64]."""
    digits: NDArray[np.float32] = np.load(DIGITS_FILE, allow_pickle=False).astype(np.float32)
    return digits
