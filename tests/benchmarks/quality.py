"""What training is worth on real data: held-out log-likelihood beside pPCA and a full Gaussian, R2 beside PCA, and how soon."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from lines import Line, duration

from aaptvae_training import AAPTVAE, losses
from aaptvae_training.config import TrainConfig
from aaptvae_training.digits import DIGITS_FILE
from aaptvae_training.features import open_features
from aaptvae_training.fit import train
from aaptvae_training.run import Evaluation, read_baseline, read_held_out
from aaptvae_training.talk import Talk

PATIENCE = 60.0  # seconds that the plain loop gets
Rows = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Clock(Talk):
    """Remembers when each epoch's validation ELBO was known."""

    def __init__(self) -> None:
        super().__init__()
        self.started = time.perf_counter()
        self.seen: list[tuple[float, float]] = []

    def epoch(self, figures: dict[str, float]) -> None:
        self.seen.append((time.perf_counter() - self.started, figures["validation_elbo"]))


def lines(features: Path = DIGITS_FILE, latents: int = 16) -> Iterator[Line]:
    """Train on `features` with default options and read the run's own evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        run, clock = Path(folder, "run"), Clock()
        evaluation = train(features, run, TrainConfig(latent_dim=latents), clock)
        total = time.perf_counter() - clock.started
        yield from figures(f"{features.stem}, {latents} latents", evaluation)
        goal = evaluation.baseline["ppca_log_likelihood"]
        ours = next((seconds for seconds, elbo in clock.seen if elbo >= goal), None)
        other = plain_loop(features, run, latents, goal)
    texts = [f"not in {limit:.0f} s" if seconds is None else duration(seconds)
             for seconds, limit in ((ours, total), (other, PATIENCE))]
    yield Line(f"{features.stem}: from nothing to pPCA's log-likelihood, against DataLoader and Adam", *texts,
               other / ours if ours and other else None)
    yield Line(f"{features.stem}: the whole training with evaluation", duration(total), "")


def figures(title: str, evaluation: Evaluation) -> Iterator[Line]:
    """Ours beside each baseline, on rows that no gradient saw; the ratio of log-likelihoods is a difference in nats."""
    metrics, baseline = evaluation.metrics, evaluation.baseline
    for name in ("ppca", "gaussian"):
        other = baseline[f"{name}_log_likelihood"]
        gain = metrics["log_likelihood"] - other
        yield Line(f"{title}: held-out log-likelihood against {'pPCA' if name == 'ppca' else 'a full Gaussian'}",
                   f"{metrics['log_likelihood']:.2f} nats", f"{other:.2f} nats", wanted=f"above ({gain:+.2f} nats)")
    yield Line(f"{title}: held-out R2 against PCA", f"{metrics['r2']:.4f}", f"{baseline['r2']:.4f}", wanted="as high")


def plain_loop(features: Path, run: Path, latents: int, goal: float) -> float | None:
    """Seconds until a plain VAE with learned noise reaches `goal` nats on the same held-out rows; None if it does not."""
    baseline, (test, _) = read_baseline(run), read_held_out(run)
    with open_features(features) as source:
        rows, held = source.read(0, source.rows), {row.tobytes() for row in test}
    x = torch.from_numpy(rows[[row.tobytes() not in held for row in rows]])
    scaled = ((x - torch.from_numpy(baseline.mean)) / torch.from_numpy(baseline.scale)).float()
    unseen = ((torch.from_numpy(test) - torch.from_numpy(baseline.mean)) / torch.from_numpy(baseline.scale)).float()
    torch.manual_seed(0)
    model = AAPTVAE(scaled.shape[1], latents, (400,), sigma="learned")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(scaled), batch_size=128, shuffle=True)
    start = time.perf_counter()
    while time.perf_counter() - start < PATIENCE:
        for (rows,) in loader:
            optimizer.zero_grad()
            _negative_elbo(model, rows).backward()
            optimizer.step()
        with torch.inference_mode():
            if -float(_negative_elbo(model, unseen)) >= goal:
                return time.perf_counter() - start
    return None


def _negative_elbo(model: AAPTVAE, rows: torch.Tensor) -> torch.Tensor:
    mu, logvar = model.posterior(rows)
    error = model.observation_mean(model.reparameterize(mu, logvar)) - rows
    return (model.negative_log_likelihood(error) + losses.kl_divergence(mu, logvar).sum(dim=1)).mean()
