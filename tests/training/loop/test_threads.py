"""The count of threads follows measured steps, changes no bit, and is given back."""

import numpy as np
import pytest
import torch

from aaptvae_training import train_run
from aaptvae_training.config import TrainConfig
from aaptvae_training.loop.batches import ResidentBatches
from aaptvae_training.loop.processes import World
from aaptvae_training.loop.threads import LONGEST, TRIAL_STEPS, AdaptiveThreads, on_threads, paced, same_bits
from aaptvae_training.model.network import AAPTVAE
from aaptvae_training.model.objective import Objective

from ..conftest import features_of, train


class Machine:
    """A clock that runs as long as a step takes with the threads that torch has at the moment."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now = seconds, 0.0

    def clock(self) -> float:
        return self.now

    def counts(self, threads: AdaptiveThreads, steps: int) -> list[int]:
        used = []
        for _ in threads.between(iter([torch.zeros(1)] * steps)):
            used.append(torch.get_num_threads())
            self.now += self.seconds[used[-1]]
        return used


@pytest.mark.parametrize(("one", "both", "expected"), [(1.0, 0.6, 2), (1.0, 0.95, 1), (1.0, 8.0, 1)])
def test_the_faster_count_is_used(one: float, both: float, expected: int) -> None:
    with on_threads(2):
        machine = Machine({1: one, 2: both})
        used = machine.counts(AdaptiveThreads(2, machine.clock), 300)
        trial = 2 * (1 + TRIAL_STEPS)
        assert used[:trial] == [1] * (trial // 2) + [2] * (trial // 2)
        assert used.count(expected) > 200
        assert torch.get_num_threads() == expected


def test_a_machine_that_becomes_busy_is_noticed() -> None:
    with on_threads(2):
        machine = Machine({1: 1.0, 2: 0.5})
        threads = AdaptiveThreads(2, machine.clock)
        assert machine.counts(threads, 200)[-1] == 2
        machine.seconds = {1: 1.5, 2: 20.0}
        assert machine.counts(threads, 200)[-1] == 1
        used = machine.counts(threads, 1000)
        assert used.count(2) < 0.1 * len(used), "a slow count is tried seldom"
        assert LONGEST < 1000


def test_a_trial_goes_on_over_short_epochs() -> None:
    with on_threads(2):
        machine = Machine({1: 0.1, 2: 0.9})
        threads = AdaptiveThreads(2, machine.clock)
        for _ in range(10):
            machine.counts(threads, 3)
        assert torch.get_num_threads() == 1


def subject() -> tuple[Objective, torch.Tensor, ResidentBatches]:
    torch.manual_seed(0)
    rows = torch.randn(256, 24)
    return Objective(AAPTVAE(24, 6, 32)), rows, ResidentBatches(rows, 64, 0, World(0, 1, torch.device("cpu")))


def test_the_probe_leaves_model_and_gradients_alone() -> None:
    objective, rows, _ = subject()
    before = {name: tensor.clone() for name, tensor in objective.state_dict().items()}
    with on_threads(2):
        assert same_bits(objective, rows, 64, bf16=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in objective.state_dict().items())
    assert all(parameter.grad is None for parameter in objective.parameters())


def test_bits_that_depend_on_threads_are_detected() -> None:
    class Uneven(Objective):
        def forward(self, x: torch.Tensor, beta: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            objective, nll, kl = super().forward(x, beta)
            return objective * torch.get_num_threads(), nll, kl

    objective, rows, batches = subject()
    uneven = Uneven(objective.model)
    with on_threads(2):
        assert not same_bits(uneven, rows, 64, bf16=False)
        assert paced(batches, uneven, rows, bf16=False) is batches
        assert paced(batches, objective, rows, bf16=False) is not batches


def test_one_thread_is_never_adapted() -> None:
    objective, rows, batches = subject()
    with on_threads(1):
        assert paced(batches, objective, rows, bf16=False) is batches


@pytest.mark.parametrize("asked", [None, 1, 3])
def test_threads_are_given_back(tmp_path, monkeypatch, asked) -> None:
    seen = []
    fitted = train_run.fit

    def watched(*arguments: object) -> object:
        seen.append((torch.get_num_threads(), arguments[3].adapt))  # type: ignore[attr-defined]
        return fitted(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(train_run, "fit", watched)
    np.save(tmp_path / "x.npy", features_of(60))
    before = torch.get_num_threads()
    options = TrainConfig(latent_dim=3, hidden_dim=(8,), epochs=1, precision="fp32", refit=False)
    train(tmp_path / "x.npy", tmp_path / "run", options, threads=asked)
    assert seen == [(asked or 1, asked is None)]
    assert torch.get_num_threads() == before


def test_a_training_is_the_same_on_any_count(tmp_path) -> None:
    np.save(tmp_path / "x.npy", features_of(400, width=40))
    options = TrainConfig(latent_dim=8, hidden_dim=(64,), epochs=2, precision="fp32", refit=False)
    weights = []
    for count, asked in ((2, None), (1, 1)):
        with on_threads(count):
            train(tmp_path / "x.npy", tmp_path / f"run{count}", options, threads=asked)
        weights.append([(tmp_path / f"run{count}" / name).read_bytes() for name in ("metrics.jsonl", "best.safetensors")])
    assert weights[0] == weights[1]
