"""The demo on handwritten digits: train, export, then run in a process where torch cannot be imported."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aaptvae.files.publish import publish_folder
from aaptvae_training import read_run
from aaptvae_training.config import TrainConfig
from aaptvae_training.digits import DIGITS_FILE
from aaptvae_training.train_run import train

from ..bundle import Export, export_bundle
from ..errors import ExportError
from ..options import ExportOptions
from . import pictures

_TORCH_FREE = Path(__file__).with_name("torch_free.py")
_CONFIG = TrainConfig(latent_dim=16, hidden_dim=(400,), epochs=30, seed=0)


def run_demo(output: Path, *, force: bool, say: Callable[[str], object]) -> None:
    """Write `run`, `digits` (a bundle) and pictures to the folder `output`; pass progress and a table of figures to `say`."""
    with publish_folder(output, force=force, marker="digits/manifest.json") as folder:
        say("training 64 -> 400 -> 16 on 1,797 handwritten digits")
        started = time.perf_counter()
        train(DIGITS_FILE, folder / "run", _CONFIG)
        trained = time.perf_counter()
        say("exporting, each graph compared with the trained model")
        run = read_run(folder / "run")
        made = export_bundle(run, folder / "digits", ExportOptions(name="digits"))
        exported = time.perf_counter()
        say("encoding, decoding and sampling in a process that cannot import torch")
        np.save(folder / "heldout.npy", run.heldout)
        seconds = {"training": trained - started, "export": exported - trained, **_without_torch(folder)}
        pictures.draw(np.load(folder / "results.npz"), folder / "run", folder)
    say(_table(made, seconds))
    say(f"pictures, run and bundle are in {output}; to explore its latents in a browser:")
    command = "aaptvae" if shutil.which("aaptvae") else f"{sys.executable} -m aaptvae"  # `make demo` has its own environment
    say(f"  {command} explore {output / 'digits'} --rows {output / 'heldout.npy'} --image-shape 8x8")


def _without_torch(folder: Path) -> dict[str, float]:
    """Seconds of each step of `torch_free.py`, which writes `results.npz`."""
    paths = [str(folder / name) for name in ("digits", "heldout.npy", "results.npz")]
    command = [sys.executable, str(_TORCH_FREE), *paths]
    child = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own file
    if child.returncode:
        raise ExportError(f"torch_free.py failed: {(child.stderr.strip() or 'no message').splitlines()[-1]}")
    seconds: dict[str, float] = json.loads(child.stdout)
    return seconds


def _table(made: Export, seconds: dict[str, float]) -> str:
    """Figures of the model and of PCA, and seconds, as lines of text."""
    training, parity = made.manifest.training, made.manifest.parity
    worst = max(case.difference for case in parity.worst if case.reference == "float64")
    rows: list[tuple[str, str]] = [
        ("held-out R2, this model", f"{training.metrics['r2']:.4f}"),
        ("held-out R2, PCA with as many latents", f"{training.baseline['r2']:.4f}"),
        ("active latents", f"{training.metrics['active_units']:.0f} of {made.manifest.latent_dim}"),
        ("largest difference from the trained model", f"{worst:.1g} (allowed {parity.tolerance:g})"),
        *((name, f"{value:.3g} s" if value > 0.1 else f"{value * 1e3:.3g} ms") for name, value in seconds.items()),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
