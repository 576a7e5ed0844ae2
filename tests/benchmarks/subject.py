"""What is measured: networks of the default widths with random weights, exported as any other, twins included."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aaptvae.bundle import Training
from aaptvae.likelihood import ObservationModel
from aaptvae.prior import LatentPrior
from aaptvae_export.draft import ExportOptions
from aaptvae_export.exporter import export_bundle
from aaptvae_training import AAPTVAE, Run
from aaptvae_training.config import TrainConfig
from aaptvae_training.run import RunConfig

WIDTHS = (512, 400, 256)
FORMS = {"plain": False, "linear skip": True}  # the seed network, and the trainer's default


@dataclass(frozen=True)
class Subject:
    """A bundle and the torch model that it was exported from."""

    form: str
    path: Path
    model: AAPTVAE


def make_subject(form: str, folder: Path) -> Subject:
    """Export a random network of this form to `folder`."""
    features, hidden, latents = WIDTHS
    torch.manual_seed(0)
    model = AAPTVAE(features, latents, (hidden,), linear_skip=FORMS[form]).eval()
    generator = np.random.default_rng(0)
    config = RunConfig(input_dim=features, rows=0, data_sha256="0" * 64, train=TrainConfig())
    summary = Training(rows=1, seed=0, data_sha256="0" * 64, epochs=0, metrics={}, baseline={})
    sigma = model.noise_log_sigma.detach().double().exp().numpy()
    observation = ObservationModel("gaussian", np.zeros(features), np.ones(features), sigma)
    heldout = generator.standard_normal((256, features), dtype=np.float32)
    run = Run(config, model, LatentPrior.standard(latents), observation, heldout, summary)
    path = folder / form.replace(" ", "-")
    export_bundle(run, path, ExportOptions(precisions=("fp32", "int8")), force=True)
    return Subject(form, path, model)
