"""One table trained with default options through the public functions, and its bundle read by the runtime without torch."""

from pathlib import Path

import numpy as np

import aaptvae
from aaptvae_export import export_bundle
from aaptvae_training import read_run
from aaptvae_training.config import TrainConfig
from aaptvae_training.train_run import train

from .table import Array

VIEWS = ("metric", "similarity")


def trained(x: Array, latents: int, folder: Path) -> aaptvae.VAE:
    """A bundle of rows x [N, D], loaded; `folder` keeps the run and the bundle."""
    features = folder / "features.npy"
    np.save(features, x)
    train(features, folder / "run", TrainConfig(latent_dim=latents))
    export_bundle(read_run(folder / "run"), folder / "bundle")
    return aaptvae.load(folder / "bundle")


def views(vae: aaptvae.VAE, x: Array) -> dict[str, Array]:
    """Each view of the rows that the bundle has, by name: `mu` [N, L], and those made for neighbours."""
    found = {"mu": vae.embed(x)}
    for name in VIEWS:
        try:
            found[name] = vae.embed(x, view=name)  # type: ignore[call-arg]
        except (TypeError, aaptvae.InputError):
            continue  # this bundle does not hold it
    return found
