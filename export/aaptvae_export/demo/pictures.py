"""Pictures of the demo: digits in tiles, drawn from the results of the process without torch, and the training curves."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from aaptvae.rows import Rows
from aaptvae_training.digits import IMAGE_SHAPE
from aaptvae_training.report import open_report, plot_tiles, plot_training_curves

LARGEST = 16.0  # pixel intensity of ink
COLUMNS = 12


def draw(results: Mapping[str, Rows], run: Path, folder: Path) -> None:
    """Write reconstructions.png, samples.png, interpolation.png and training.png."""
    pairs = np.concatenate([results["originals"][:COLUMNS], results["reconstruction"][:COLUMNS]])
    walls = {"reconstructions": (pairs, COLUMNS), "samples": (results["samples"], 8)}
    walls["interpolation"] = (results["path"].reshape(-1, pairs.shape[1]), results["path"].shape[-2])
    for name, (rows, columns) in walls.items():
        _save(plot_tiles(rows, IMAGE_SHAPE, None, columns, (0.0, LARGEST)), folder / f"{name}.png")
    ax = plot_training_curves(open_report(run))
    ax.set_title("training")
    _save(ax, folder / "training.png")


def _save(ax: Axes, path: Path) -> None:
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.savefig(path, dpi=120)
