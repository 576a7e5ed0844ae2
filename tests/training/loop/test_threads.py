"""Small networks train on one thread, large ones on what the process may use, and whoever asks gets what was asked for."""

import numpy as np
import pytest
import torch

from aaptvae.engine.cpus import usable_cpus
from aaptvae_training import train_run as fit
from aaptvae_training.config import TrainConfig
from aaptvae_training.loop.threads import default_threads, on_threads, step_operations
from aaptvae_training.run.folder import RunConfig
from aaptvae_training.train_run import train

from ..conftest import features_of


def config(width: int, latents: int, **options: object) -> RunConfig:
    chosen = TrainConfig(latent_dim=latents, batch_size=128, **options)  # type: ignore[arg-type]
    return RunConfig(input_dim=width, rows=1000, data_sha256="0" * 64, train=chosen)


def test_operations_of_a_step_follow_the_layers() -> None:
    assert step_operations(config(10, 3, hidden_dim=(7,), linear_skip=False)) == 6 * 128 * (2 * (70 + 21) + 21)
    assert step_operations(config(10, 3, hidden_dim=(7, 5))) == 6 * 128 * (2 * (70 + 35 + 15) + 15 + 60)


def test_small_networks_get_one_thread() -> None:
    with on_threads(64):  # as torch counts the host's processors in a container
        assert default_threads(config(64, 16)) == 1
        assert default_threads(config(384, 64)) == usable_cpus()
        assert torch.get_num_threads() == 64


@pytest.mark.parametrize("asked", [None, 3])
def test_threads_are_restored_after_a_training(tmp_path, monkeypatch, asked) -> None:
    seen = []
    fitted = fit.fit

    def watched(*arguments: object) -> None:
        seen.append(torch.get_num_threads())
        fitted(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fit, "fit", watched)
    np.save(tmp_path / "x.npy", features_of(60))
    before = torch.get_num_threads()
    options = TrainConfig(latent_dim=3, hidden_dim=(8,), epochs=1, precision="fp32")
    train(tmp_path / "x.npy", tmp_path / "run", options, threads=asked)
    assert seen == [asked or 1]
    assert torch.get_num_threads() == before
