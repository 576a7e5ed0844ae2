"""The handwritten digits in this package: 1,797 images of 8 x 8 pixels, 0 to 16 (source and licence: data/README.md)."""

from pathlib import Path

DIGITS_FILE = Path(__file__).parent / "data" / "digits.npy"
IMAGE_SHAPE = (8, 8)
