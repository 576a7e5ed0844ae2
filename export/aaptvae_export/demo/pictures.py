"""Pictures of the demo: digits as grids of tiles, and the course of the training. Called by `demo.py` alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aaptvae_training.digits import IMAGE_SHAPE

LARGEST = 16  # pixel intensity of ink
COLUMNS = 12
ZOOM = 6

Images = NDArray[np.float32]


def draw(results: Mapping[str, Images], history: list[dict[str, float]], folder: Path) -> None:
    """Write reconstructions.png, samples.png, interpolation.png and training.png."""
    pairs = np.concatenate([results["originals"][:COLUMNS], results["reconstruction"][:COLUMNS]])
    tiles = {"reconstructions": (pairs, COLUMNS), "samples": (results["samples"], 8)}
    tiles["interpolation"] = (results["path"], len(results["path"]))
    import matplotlib as mpl  # noqa: PLC0415 - slow, and only the demo draws

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    for name, (images, columns) in tiles.items():
        plt.imsave(folder / f"{name}.png", grid(images, columns), cmap="gray_r", vmin=0, vmax=LARGEST)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot([-line["validation_elbo"] for line in history])
    axes.set(xlabel="epoch", ylabel="validation loss, nats per row", title="Negative ELBO")
    figure.savefig(folder / "training.png", dpi=120)
    plt.close(figure)


def grid(rows: Images, columns: int) -> Images:
    """Rows [N, 64] as one picture of tiles with a white seam, enlarged."""
    height, width = IMAGE_SHAPE
    tiles = np.pad(rows[: len(rows) // columns * columns].reshape(-1, height, width), ((0, 0), (0, 1), (0, 1)))
    wall = tiles.reshape(-1, columns, height + 1, width + 1).swapaxes(1, 2).reshape(-1, columns * (width + 1))
    return wall.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
