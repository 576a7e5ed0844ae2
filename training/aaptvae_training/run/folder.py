"""A run: the folder that training leaves and that export reads. It holds no pickle and needs nothing beside it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray

from aaptvae.bundle.manifest import Count, Digest, Training, Width
from aaptvae.density.observation import ObservationModel
from aaptvae.density.prior import LatentPrior
from aaptvae.errors import BundleError
from aaptvae.files.publish import publish_file

from ..config import TrainConfig
from ..errors import RunError
from ..evaluation.judge import observation_of
from ..features.table import Rows
from ..linear.ppca import PPCA, ppca_of
from ..loop.trainer import BEST
from ..model.network import AAPTVAE
from .state import check_shapes, damaged, load_into, read_state, write_state

CONFIG = "config.json"
STATISTICS = "statistics.safetensors"
HELD_OUT = "heldout.safetensors"
PRIOR = "prior.safetensors"
EVALUATION = "evaluation.json"
REPORT = "report.html"
MAX_JSON = 16 << 20
MOST_HELD_OUT = 2_048  # rows that an export judges its precisions on

Matrix = NDArray[np.float64]
T = TypeVar("T")


class RunConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`config.json`: the resolved options and what the data were."""

    input_dim: Width
    rows: Count
    data_sha256: Digest
    train: TrainConfig
    bounded: bool = False  # runs of before had networks without bounds


class Evaluation(Struct, frozen=True, kw_only=True):
    """`evaluation.json`: figures of the model on held-out rows, the same figures of the baselines, and words."""

    rows: int
    epochs: int
    metrics: dict[str, float]
    baseline: dict[str, float]
    kl_per_latent: list[float]
    warnings: list[str]


@dataclass(frozen=True)
class Baseline:
    """What the training rows say without a network: column statistics, principal axes and the Gaussian along them."""

    mean: Matrix
    scale: Matrix
    eigenvalues: Matrix
    eigenvectors: Matrix
    spectrum: Matrix

    def ppca(self, latents: int) -> PPCA:
        """Probabilistic PCA of this many latents."""
        return ppca_of(self.eigenvalues, self.eigenvectors, latents)


@dataclass(frozen=True)
class Run:
    """A finished run, read whole: `model` is in eval mode with the best weights, `heldout` are raw rows no gradient saw."""

    config: RunConfig
    model: AAPTVAE
    prior: LatentPrior
    observation: ObservationModel
    heldout: Rows
    summary: Training


def build_model(config: RunConfig) -> AAPTVAE:
    """The network that a configuration describes, freshly initialised."""
    train = config.train
    return AAPTVAE(
        config.input_dim,
        train.latent_dim,
        train.hidden_dim,
        beta=train.beta,
        linear_skip=train.linear_skip,
        sigma=train.sigma,
        likelihood=train.likelihood,
        dropout=train.dropout,
        bounded=config.bounded,
    )


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a finished run; `RunError` if it is missing, damaged or not finished."""
    folder = Path(path)
    config, evaluation = read_config(folder), read_evaluation(folder)
    model = load_run(folder)
    prior = read_prior(folder)
    test, _ = read_held_out(folder)
    summary = Training(
        rows=config.rows,
        seed=config.train.seed,
        data_sha256=config.data_sha256,
        epochs=evaluation.epochs,
        metrics=evaluation.metrics,
        baseline=evaluation.baseline,
    )
    return Run(config, model, prior, observation_of(model), test[:MOST_HELD_OUT], summary)


def load_run(path: str | os.PathLike[str]) -> AAPTVAE:
    """The trained model of a run, in eval mode on the CPU; `RunError` if the run cannot be read."""
    folder = Path(path)
    config, (tensors, _) = read_config(folder), read_state(folder / BEST)
    with torch.device("meta"):  # widths without weights behind them cost no memory
        check_shapes(build_model(config), tensors, folder / BEST)
    model = build_model(config)
    load_into(model, tensors, folder / BEST)
    return model.eval()


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run; `RunError` if there is none or it is not ours."""
    return _read_json(folder / CONFIG, RunConfig)


def read_evaluation(folder: Path) -> Evaluation:
    """The figures of a finished run; `RunError` for one that is not finished."""
    refuse_unfinished(folder, EVALUATION)
    return _read_json(folder / EVALUATION, Evaluation)


def refuse_unfinished(folder: Path, name: str) -> None:
    """`RunError` for a run that lacks what its end would have written."""
    if not (folder / name).exists() and (folder / CONFIG).exists():
        raise RunError(f"{folder} is not finished: continue it with aaptvae train ... --resume")


def _read_json(path: Path, kind: type[T]) -> T:
    try:
        if path.stat().st_size > MAX_JSON:
            raise RunError(f"{path} is larger than {MAX_JSON} bytes: aaptvae train did not write it")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}: give a folder that aaptvae train wrote") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged ({error}): train again, or restore the file") from None


def write_json(path: Path, value: Struct) -> None:
    """Write a struct as JSON for people, in one step."""
    with publish_file(path, force=True) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def write_baseline(folder: Path, baseline: Baseline) -> None:
    """Keep the statistics of the training rows."""
    write_state(folder / STATISTICS, {name: torch.from_numpy(array) for name, array in vars(baseline).items()})


def read_baseline(folder: Path) -> Baseline:
    """The statistics of the training rows."""
    width = read_config(folder).input_dim
    shapes = {field.name: (width,) for field in fields(Baseline)} | {"eigenvectors": (width, width)}
    return Baseline(**_arrays(folder / STATISTICS, shapes))


def write_held_out(folder: Path, test: Rows, train_sample: Rows) -> None:
    """Keep raw rows that no gradient saw, and a sample of those that one did."""
    write_state(folder / HELD_OUT, {"test": torch.from_numpy(test), "train_sample": torch.from_numpy(train_sample)})


def read_held_out(folder: Path) -> tuple[Rows, Rows]:
    """Raw rows: unseen in training, and a sample of the seen."""
    table = (None, read_config(folder).input_dim)
    arrays = _arrays(folder / HELD_OUT, {"test": table, "train_sample": table})
    return arrays["test"], arrays["train_sample"]


def write_prior(folder: Path, prior: LatentPrior) -> None:
    """Keep the fitted density of latents as plain arrays."""
    write_state(folder / PRIOR, {name: torch.from_numpy(np.array(array)) for name, array in prior.to_arrays().items()})


def read_prior(folder: Path) -> LatentPrior:
    """The fitted density of latents."""
    refuse_unfinished(folder, PRIOR)
    latents = read_config(folder).train.latent_dim
    shapes = {"weights": (None,), "means": (None, latents), "factors": (None, latents, latents)}
    try:
        return LatentPrior.from_arrays(_arrays(folder / PRIOR, shapes))
    except BundleError as error:
        raise damaged(folder / PRIOR, error) from None


def _arrays(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, NDArray[Any]]:
    """Arrays of these shapes; None stands for any length."""
    tensors, _ = read_state(path)
    if missing := [name for name in shapes if name not in tensors]:
        raise RunError(f"{path} has no {', '.join(missing)}: train again, or restore the file")
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape)
        if len(found) != len(shape) or any(want not in (None, got) for want, got in zip(shape, found, strict=True)):
            raise damaged(path, f"{name} is {found}, expected {shape}")
    return {name: tensors[name].numpy() for name in shapes}
