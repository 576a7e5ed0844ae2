"""An untrusted run folder is read, or refused with a message before memory is allocated."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import script

from aaptvae_training import load_run, read_run
from aaptvae_training.errors import RunError
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.run.state import read_state, write_state


def changed(run: Path, folder: Path, **values: object) -> Path:
    """A copy of a run whose configuration says something else."""
    copy = shutil.copytree(run, folder / "changed")
    config = json.loads((copy / "config.json").read_text())
    for name, value in values.items():
        (config if name in config else config["train"])[name] = value
    (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"input_dim": -4}, "input_dim"),
        ({"input_dim": 10**9}, "input_dim"),
        ({"rows": -7}, "rows"),
        ({"data_sha256": "x"}, "data_sha256"),
        ({"input_dim": 1 << 20}, "best.safetensors is damaged .* expected .* by the configuration"),
        ({"latent_dim": 1 << 20, "hidden_dim": [1 << 20, 1 << 20]}, "expected .* by the configuration"),
        ({"input_dim": 13}, "expected .* by the configuration"),
    ],
)
def test_a_configuration_of_other_weights_is_refused(finished, tmp_path, values, words):
    with pytest.raises(RunError, match=words):
        load_run(changed(finished, tmp_path, **values))
    with pytest.raises(RunError):
        read_run(tmp_path / "changed")


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in other units elsewhere")
def test_wrong_widths_allocate_no_memory(finished, tmp_path):
    code = """
import re, sys
from pathlib import Path
from aaptvae_training import load_run
from aaptvae_training.errors import RunError
def peak():  # getrusage would begin at the peak of whoever started this process
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = peak()
try:
    load_run(sys.argv[1])
except RunError:
    print(peak() - before)
"""
    grown = int(script(code, changed(finished, tmp_path, input_dim=20_000, hidden_dim=[20_000])))
    assert grown * 1024 < 100e6


def test_an_unfinished_run_advises_resume(finished, tmp_path):
    for name in ("prior.safetensors", "evaluation.json"):
        copy = shutil.copytree(finished, tmp_path / name)
        (copy / name).unlink()
        with pytest.raises(RunError, match=r"is not finished: continue it with the same aaptvae train command and --resume"):
            read_run(copy)
    with pytest.raises(RunError, match="is not finished"):
        evaluate(tmp_path / "prior.safetensors")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("prior", {"means": torch.zeros(4)}),
        ("prior", {"weights": torch.ones(9)}),
        ("heldout", {"test": torch.zeros(3)}),
        ("heldout", {"test": torch.zeros(3, 7)}),
        ("statistics", {"mean": torch.zeros(1)}),
        ("best", None),
    ],
)
def test_files_of_other_shapes_are_refused_by_name(finished, tmp_path, name, change):
    run = shutil.copytree(finished, tmp_path / "run")
    tensors, facts = read_state(run / f"{name}.safetensors")
    write_state(run / f"{name}.safetensors", tensors | (change or {}), facts if change else {"epoch": "two"})
    with pytest.raises(RunError, match=rf"{name}\.safetensors is damaged .*: train again, or restore the file"):
        evaluate(run)


def test_other_rows_give_no_warning_of_overfitting(finished, table):
    """Training rows, judged again: nothing can be said of overfitting."""
    assert not any("unseen" in note or "few" in note for note in evaluate(finished, table).warnings)


def test_training_rows_are_recognised_in_any_format(finished, table, tmp_path):
    rows = np.load(table)
    np.savez(tmp_path / "same.npz", rows)
    np.save(tmp_path / "other.npy", rows[::-1])
    for path, known in ((table, True), (tmp_path / "same.npz", True), (tmp_path / "other.npy", False)):
        assert any("trained on most of these rows" in note for note in evaluate(finished, path).warnings) == known
