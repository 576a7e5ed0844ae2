"""A training that was killed, at whatever moment, ends with the bytes of one that was not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from aaptvae_training import RunError, read_run
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.run import state as checkpoint
from aaptvae_training.run.layout import BEST, LAST, METRICS, REFIT
from aaptvae_training.run.state import read_state, write_state

from ..conftest import conditioned, features_of, options, saved, train

KILLING = Path(__file__).with_name("killing.py")
OUTCOME = (
    "best.safetensors",
    "prior.safetensors",
    "marginals.safetensors",
    "evaluation.json",
    "metrics.jsonl",
    "statistics.safetensors",
)

REFITTED = tuple(name for name in OUTCOME if name not in ("evaluation.json", "metrics.jsonl"))


class Interruption(Exception):  # noqa: N818 - as in KeyboardInterrupt
    """Stands for ctrl-C at a chosen moment."""


class InterruptedAt(TrainingProgress):
    """Stops a training when this many epochs are over."""

    def __init__(self, epoch: int) -> None:
        self.at = epoch

    def epoch(self, figures: dict[str, float]) -> None:
        if figures["epoch"] == self.at:
            raise Interruption


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interruption):
        patch.setattr("aaptvae_training.loop.trainer.SAVE_EVERY", 0.0)
        train(table, folder, options(patience=1.0), InterruptedAt(2))
    return folder


@pytest.fixture
def interrupted(stopped, tmp_path, monkeypatch):
    """A run that stopped after two of its epochs."""
    monkeypatch.setattr("aaptvae_training.loop.trainer.SAVE_EVERY", 0.0)
    return shutil.copytree(stopped, tmp_path / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, table):
    """The same run, which nothing stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(table, folder, options(patience=1.0))
    return folder


def same(first: Path, second: Path, names: tuple[str, ...] = OUTCOME) -> list[str]:
    return [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()]


@pytest.mark.slow
def test_twenty_kills_change_no_byte(tmp_path, table):
    done = subprocess.run(
        [sys.executable, KILLING, table, tmp_path, "7"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    stages = [stage for stage, dead in report["kills"] if dead]
    assert len(report["kills"]) == 20 and len(stages) >= 18, "nearly all of the kills must have hit a living process"
    assert {"reading", "training"} < set(stages), "some kills must have hit a stage after the training"
    for number in range(4):
        assert same(tmp_path / "peace", tmp_path / f"fire{number}") == []


def test_a_resumed_run_trains_only_what_is_missing(interrupted, table, whole):
    class Counting(TrainingProgress):
        epochs = 0

        def __init__(self) -> None:
            self.left: dict[str, int] = {}

        def stage(self, name: str, total: int, done: int = 0) -> None:
            self.left[name] = total - done

        def advance(self, units: int) -> None:
            self.left[list(self.left)[-1]] -= units

        def epoch(self, figures: dict[str, float]) -> None:
            self.epochs += 1

    counting = Counting()
    train(table, interrupted, options(patience=1.0), counting, resume=True)
    assert counting.epochs == 2
    assert counting.left["training"] == 0, "what an earlier run did counts as done"
    assert same(interrupted, whole) == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"dropout": 0.2, "kl_warmup": 0.7, "free_bits": 0.1}, id="dropout"),
        pytest.param({"sigma": "optimal", "likelihood": "gaussian"}, id="optimal", marks=pytest.mark.slow),
        pytest.param({"linear_skip": False, "sigma": "learned"}, id="plain", marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_model_resumes_exactly(tmp_path, table, monkeypatch, changes):
    monkeypatch.setattr("aaptvae_training.loop.trainer.SAVE_EVERY", 0.0)
    config = options(patience=1.0, **changes)
    train(table, tmp_path / "whole", config)
    with pytest.raises(Interruption):
        train(table, tmp_path / "parts", config, InterruptedAt(2))
    train(table, tmp_path / "parts", config, resume=True)
    assert same(tmp_path / "whole", tmp_path / "parts") == []


@pytest.mark.slow
def test_conditions_resume_exactly(tmp_path, monkeypatch):
    """Interrupted in the judged training and in the refit; other names of the same categories are other rows."""
    monkeypatch.setattr("aaptvae_training.loop.trainer.SAVE_EVERY", 0.0)
    table, config = conditioned(200), options(patience=1.0, epochs=2, refit=True, condition=["kind"])
    train(table, tmp_path / "whole", config)
    run = tmp_path / "parts"
    with pytest.raises(Interruption):
        train(table, run, config, InterruptedAt(1))
    with pytest.raises(RunError, match="was begun with other rows than these"):
        train(table | {"kind": np.char.upper(table["kind"])}, run, config, resume=True)
    with pytest.raises(Interruption), monkeypatch.context() as patch:
        before_writing(patch, f"{REFIT}/{LAST}", 1)
        train(table, run, config, resume=True)
    train(table, run, config, resume=True)
    assert same(tmp_path / "whole", run) == []
    assert same(tmp_path / "whole" / REFIT, run / REFIT, REFITTED) == []


@pytest.mark.parametrize(
    "moment", [pytest.param((0.0, 3), id="an epoch"), pytest.param((5.0, 2), id="the end", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("victim", [BEST, METRICS, LAST])
def test_a_kill_between_two_files_changes_nothing(tmp_path, table, whole, monkeypatch, victim, moment):
    """A checkpoint is three files and the state is written last, so a resumed training writes the others again."""
    seconds, occurrence = moment
    monkeypatch.setattr("aaptvae_training.loop.trainer.SAVE_EVERY", seconds)
    run = tmp_path / "killed"
    with pytest.raises(Interruption), monkeypatch.context() as patch:
        before_writing(patch, victim, occurrence)
        train(table, run, options(patience=1.0))
    train(table, run, options(patience=1.0), resume=True)
    assert same(run, whole) == []


def before_writing(patch: pytest.MonkeyPatch, victim: str, occurrence: int) -> None:
    """Stop when a file of this name is about to be written for the n-th time."""
    publish, seen = checkpoint.publish_file, []

    def stopping(path, **options):
        if str(path).endswith(victim):
            seen.append(path)
            if len(seen) == occurrence:
                raise Interruption
        return publish(path, **options)

    patch.setattr(checkpoint, "publish_file", stopping)


def test_a_finished_run_resumes_to_itself(tmp_path, finished, table):
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    train(table, finished, options(), resume=True)
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before


def test_resume_starts_where_there_is_no_run(tmp_path, table):
    train(table, tmp_path / "run", options(epochs=1), resume=True)
    assert read_run(tmp_path / "run").summary.epochs == 1


def test_other_rows_are_refused(interrupted, tmp_path):
    other = saved(tmp_path, features_of(600, seed=1), "other.npy")
    with pytest.raises(RunError, match="was begun with other rows than these: resume it with the features it was begun with"):
        train(other, interrupted, options(patience=1.0), resume=True)


def test_other_options_are_refused_by_name(interrupted, table):
    with pytest.raises(RunError, match=r"was begun with latent_dim = 3, not 4: to resume, leave that option out"):
        train(table, interrupted, options(patience=1.0, latent_dim=4), resume=True)


def test_the_same_rows_in_another_format_resume(interrupted, tmp_path):
    as_double = saved(tmp_path, features_of(600).astype(np.float64), "double.npy")
    assert train(as_double, interrupted, options(patience=1.0), resume=True).epochs == 4


@pytest.mark.parametrize("victim", [BEST, LAST])
def test_a_damaged_checkpoint_is_refused_with_its_name(interrupted, table, victim):
    data = (interrupted / victim).read_bytes()
    for damaged in (data[: len(data) // 2], b"\xff" * 100, b"", data[:8] + b"x" + data[9:]):
        (interrupted / victim).write_bytes(damaged)
        with pytest.raises(RunError, match=rf"{victim.split('/')[-1]} is damaged .*: train again, or restore the file"):
            train(table, interrupted, options(patience=1.0), resume=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, facts: facts | {"epoch": "two"},
        lambda tensors, facts: facts | {"history": 3},
        lambda tensors, facts: facts | {"history": [{"epoch": "x"}]},
        lambda tensors, facts: [facts],
        lambda tensors, facts: tensors.update({"optimizer.x": tensors["optimizer.0.exp_avg"]}) or facts,
        lambda tensors, facts: tensors.update({"optimizer.0.a.b": tensors["optimizer.0.exp_avg"]}) or facts,
    ],
    ids=["epoch", "history", "figures", "list", "name", "long name"],
)
def test_a_checkpoint_with_wrong_facts_is_refused(interrupted, table, change):
    tensors, facts = read_state(interrupted / LAST)
    write_state(interrupted / LAST, tensors, change(tensors, facts))
    with pytest.raises(RunError, match=r"state\.safetensors is damaged .*: train again, or restore the file"):
        train(table, interrupted, options(patience=1.0), resume=True)


def test_best_weights_and_current_weights_are_separate(interrupted):
    best, _ = read_state(interrupted / BEST)
    last, facts = read_state(interrupted / LAST)
    assert not any(name.startswith("optimizer") for name in best)
    assert any(name.startswith("optimizer.0.exp_avg") for name in last)
    current = {name.removeprefix("model."): t for name, t in last.items() if name.startswith("model.")}
    assert current.keys() == best.keys()
    assert any((current[name] != tensor).any() for name, tensor in best.items() if tensor.is_floating_point())
    assert facts["epoch"] == 2 and msgspec.json.decode((interrupted / "config.json").read_bytes())["train"]["seed"] == 0
