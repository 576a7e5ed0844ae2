"""Draw docs/images/digits.png, the picture of the README, from the committed bundle: `python docs/picture.py` in a clone."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("agg")
import matplotlib.pyplot as plt
from numpy.typing import NDArray

import aaptvae
from aaptvae_training.digits import DIGITS_FILE

ROOT = Path(__file__).parent.parent
COLUMNS = 12  # digits in a row of the picture
SIDE = 8  # pixels of a digit, both ways


def strips() -> dict[str, NDArray[np.float32]]:
    """Rows of pixels [12, 64] by title: inputs, reconstructions, interpolation between two inputs, samples."""
    vae = aaptvae.load(ROOT / "artifacts/digits")
    inputs = np.load(DIGITS_FILE)[:COLUMNS].astype(np.float32)
    return {
        "input, 64 pixels each": inputs,
        "reconstruction from 16 latents": vae.reconstruct(inputs),
        "interpolation in latent space": vae.interpolate(inputs[:1], inputs[4:5], steps=COLUMNS - 1),
        "new digits, drawn from the prior": vae.sample(COLUMNS, seed=0),
    }


def main() -> None:
    """Write the picture."""
    rows = strips()
    figure, axes = plt.subplots(len(rows), 1, figsize=(7.2, 3.6), dpi=110, facecolor="white")
    for ax, (title, digits) in zip(axes, rows.items(), strict=True):
        tiles = np.pad(digits.reshape(-1, SIDE, SIDE), ((0, 0), (0, 0), (0, 1)))  # a white column after each digit
        ax.imshow(np.concatenate(tiles, axis=1), cmap="gray_r", vmin=0, vmax=16)
        ax.set_title(title, fontsize=9, loc="left")
        ax.axis("off")
    figure.tight_layout()
    figure.savefig(ROOT / "docs/images/digits.png", bbox_inches="tight", pad_inches=0.1)


if __name__ == "__main__":
    main()
