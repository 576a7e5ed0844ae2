"""Trained models on real data: held-out log-likelihood beside pPCA and a full Gaussian, R2 beside PCA, and how soon.

How soon is measured in processes of their own, from the moment when torch is imported and the file's name is known.

    python tests/benchmarks/quality.py plain FEATURES RUN LATENTS GOAL    a line for every figure that is known
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import children
import numpy as np
import torch
from lines import Line, duration

from aaptvae_training import AAPTVAE
from aaptvae_training.config import TrainConfig
from aaptvae_training.digits import DIGITS_FILE
from aaptvae_training.features import open_features
from aaptvae_training.model import losses
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.run import Evaluation, read_baseline, read_config, read_evaluation, read_held_out
from aaptvae_training.train_run import train

PRIORS = {"standard": "N(0, I)", "fitted": "the fitted prior"}
PATIENCE = 60.0  # seconds that the plain loop gets
Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Clock(TrainingProgress):
    """Says when each epoch's validation ELBO was known."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    def epoch(self, figures: dict[str, float]) -> None:
        print(time.perf_counter() - self.started, figures["validation_elbo"], flush=True)


def lines(features: Path = DIGITS_FILE, latents: int = 16) -> Iterator[Line]:
    """Train on `features` with default options and read the run's own evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        began = time.perf_counter()
        ours = _seen("ours", features, run, latents, 0)
        total = time.perf_counter() - began
        evaluation = read_evaluation(run)
        yield from figures(f"{features.stem}, {latents} latents", evaluation)
        goal = evaluation.baseline["ppca_log_likelihood"]
        soon, other = (
            [seconds for seconds, elbo in seen if elbo >= goal] for seen in (ours, _seen("plain", features, run, latents, goal))
        )
    texts = [
        duration(seconds[0]) if seconds else f"not in {limit:.0f} s" for seconds, limit in ((soon, total), (other, PATIENCE))
    ]
    yield Line(
        f"{features.stem}: to pPCA's log-likelihood, against DataLoader and Adam",
        *texts,
        other[0] / soon[0] if soon and other else None,
        wanted="5x",
    )
    yield Line(f"{features.stem}: the whole training with evaluation, as a process", duration(total), "")


def _seen(kind: str, *arguments: object) -> list[tuple[float, float]]:
    """Seconds and nats of every figure of a loop in a process of its own."""
    command = [children.PYTHON, __file__, kind, *map(str, arguments)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [(float(seconds), float(nats)) for seconds, nats in map(str.split, said.splitlines())]


def figures(title: str, evaluation: Evaluation) -> Iterator[Line]:
    """Ours beside each baseline, on rows that no gradient saw; the ratio of log-likelihoods is a difference in nats."""
    metrics, baseline = evaluation.metrics, evaluation.baseline
    for prior, name in product(PRIORS, ("ppca", "gaussian")):
        own, other = metrics[f"log_likelihood_{prior}"], baseline[f"{name}_log_likelihood"]
        yield Line(
            f"{title}: held-out log-likelihood under {PRIORS[prior]} against {'pPCA' if name == 'ppca' else 'a full Gaussian'}",
            f"{own:.2f} nats",
            f"{other:.2f} nats",
            wanted=f"above ({own - other:+.2f} nats)",
        )
    yield Line(f"{title}: held-out R2 against PCA", f"{metrics['r2']:.4f}", f"{baseline['r2']:.4f}", wanted="as high")


def plain(features: Path, run: Path, latents: int, goal: float, clock: Clock) -> None:
    """A plain VAE with learned noise, until it reaches `goal` nats on the run's held-out rows or patience ends."""
    config = read_config(run)
    baseline, test = read_baseline(run, config), read_held_out(run, config).test
    with open_features(features) as source:
        rows, held = source.read(0, source.rows), {row.tobytes() for row in test}
    x = torch.from_numpy(rows[[row.tobytes() not in held for row in rows]])
    scaled = ((x - torch.from_numpy(baseline.mean)) / torch.from_numpy(baseline.scale)).float()
    unseen = ((torch.from_numpy(test) - torch.from_numpy(baseline.mean)) / torch.from_numpy(baseline.scale)).float()
    torch.manual_seed(0)
    model = AAPTVAE(scaled.shape[1], latents, (400,), sigma="learned")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(scaled), batch_size=128, shuffle=True)
    elbo = -np.inf
    while elbo < goal and time.perf_counter() - clock.started < PATIENCE:
        for (rows,) in loader:
            optimizer.zero_grad()
            _negative_elbo(model, rows).backward()
            optimizer.step()
        with torch.inference_mode():
            elbo = -float(_negative_elbo(model, unseen))
        clock.epoch({"validation_elbo": elbo})


def _negative_elbo(model: AAPTVAE, rows: torch.Tensor) -> torch.Tensor:
    mu, logvar = model.posterior(rows)
    error = model.observation_mean(model.reparameterize(mu, logvar)) - rows
    return (model.negative_log_likelihood(error) + losses.kl_divergence(mu, logvar).sum(dim=1)).mean()


if __name__ == "__main__":
    kind, features, run, latents, goal = sys.argv[1:]
    if kind == "ours":
        train(Path(features), Path(run), TrainConfig(latent_dim=int(latents)), Clock())
    else:
        plain(Path(features), Path(run), int(latents), float(goal), Clock())
