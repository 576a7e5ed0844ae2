"""What is measured: networks of the default widths, exported as any other, twins included.

Random weights are enough to time a product. int8 leaves out what a trained encoder does not say, so it is timed on one
that was trained, too: on a table of the reader's own, or on random features of the shipped digits.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aaptvae.bundle.manifest import Training
from aaptvae.density.observation import ObservationModel
from aaptvae.density.prior import LatentPrior
from aaptvae_export import ExportOptions, export_bundle
from aaptvae_training import AAPTVAE, Run
from aaptvae_training.config import TrainConfig
from aaptvae_training.digits import DIGITS_FILE
from aaptvae_training.run import RunConfig, read_run
from aaptvae_training.train_run import train

Rows = np.ndarray[Any, np.dtype[np.float32]]

WIDTHS = (512, 400, 256)
FORMS = {"plain": False, "linear skip": True}  # the seed network, and the trainer's default


@dataclass(frozen=True)
class Subject:
    """A bundle and the torch model that it was exported from."""

    form: str
    path: Path
    model: AAPTVAE
    rows: Rows  # of the kind that it takes


def make_subject(form: str, folder: Path) -> Subject:
    """Export a random network of this form to `folder`."""
    features, hidden, latents = WIDTHS
    torch.manual_seed(0)
    model = AAPTVAE(features, latents, (hidden,), linear_skip=FORMS[form]).eval()
    generator = np.random.default_rng(0)
    config = RunConfig(input_dim=features, rows=0, data_sha256="0" * 64, options=TrainConfig())
    summary = Training(rows=1, seed=0, data_sha256="0" * 64, epochs=0, metrics={}, baseline={})
    sigma = model.noise_log_sigma.detach().double().exp().numpy()
    observation = ObservationModel("gaussian", np.zeros(features), np.ones(features), sigma)
    heldout = generator.standard_normal((256, features), dtype=np.float32)
    run = Run(config, model, LatentPrior.standard(latents), observation, heldout, summary)
    path = folder / form.replace(" ", "-")
    export_bundle(run, path, ExportOptions(precisions=("fp32", "int8")), force=True)
    return Subject(form, path, model, heldout)


def make_trained(folder: Path, table: Path | None, latents: int) -> Subject:
    """Train with default options on `table`, or on 512 random features of the digits with 256 latents."""
    if table is None:
        table, latents = folder / "digits-512.npy", WIDTHS[-1]
        generator = np.random.default_rng(0)
        pixels = np.load(DIGITS_FILE).astype(np.float32) / 16
        features = pixels @ generator.standard_normal((pixels.shape[1], WIDTHS[0])) / 4
        np.save(table, np.maximum(features, 0).astype(np.float32))
    train(table, folder / "run", TrainConfig(latent_dim=latents))
    run, path = read_run(folder / "run"), folder / "trained"
    export_bundle(run, path, ExportOptions(precisions=("fp32", "int8")), force=True)
    return Subject(f"trained on {table.stem}", path, run.model, run.heldout)
