"""A run: the folder that training writes and that export reads. It holds no pickle and refers to no other file."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np
import torch
from msgspec import Meta, Struct
from numpy.typing import ArrayLike

from aaptvae.bundle.manifest import ColumnName, Condition, Count, Digest, Training, Width, condition_dim
from aaptvae.density import OPTIONAL_PRIOR_ARRAYS, PRIOR_ARRAYS, LatentPrior, Marginals, ObservationModel
from aaptvae.errors import BundleError
from aaptvae.files.publish import publish_file, publish_folder
from aaptvae.rows import Rows

from ..config import TrainConfig
from ..errors import RunError
from ..features import Index
from ..linear.baseline import Baseline, ColumnR2
from ..model import AAPTVAE, observation_of
from .categories import CategoryFigures
from .layout import BEST, CONFIG, EVALUATION, HELD_OUT, PRIOR, REFIT, REPORT, STATISTICS
from .marginals import read_marginals
from .shown import Compared, RunReport, TemporaryFolder, compare, figures_html
from .state import Shapes, check_shapes, damaged, load_into, of_any_size, read_arrays, read_state, write_state
from .views import RunViews, read_views

MAX_JSON = 16 << 20
EXPORT_ROWS = 2_048  # held-out rows on which an export compares its precisions

T = TypeVar("T")


class RunConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`config.json`: size and digest of the features, and the options with every default decided."""

    input_dim: Width
    rows: Count
    data_sha256: Digest
    data_name: str = ""  # of the file or folder, without its path
    train: TrainConfig
    copies: int | None = None  # rows that equal an earlier row; None in runs begun before they were looked for
    held_out_copies: int = 0  # held-out rows that equal a training row
    refit: bool = False  # whether the model is fitted again to all rows once it is judged
    bounded: bool = False  # runs of before had networks without bounds
    capped: bool = True  # runs of before had larger scales for columns with values far out
    findings: tuple[str, ...] = ()  # sentences about the columns of the table
    axes: Annotated[int, Meta(ge=0, le=1 << 20)] | None = None  # principal axes of the model, None for all
    columns: tuple[ColumnName, ...] | None = None  # names of the features [input_dim], None for features without names
    missing: int = 0  # values that were replaced by means, or rows that were left out for them
    warnings: tuple[str, ...] = ()  # about columns of the features
    conditions: tuple[Condition, ...] = ()  # given to encoder and decoder beside the features


class Evaluation(Struct, frozen=True, kw_only=True):
    """`evaluation.json`: figures of the model on held-out rows, the same figures of the baselines, and warnings."""

    rows: int
    epochs: int
    metrics: dict[str, float]
    baseline: dict[str, float]
    kl_per_latent: list[float]
    warnings: list[str]
    worst_columns: list[ColumnR2] = []
    heldout_elbo: list[float] = []  # of held-out rows, ascending, against which `score` takes p-values
    refit: bool = False  # figures are of the judged model; the one to use was then fitted again to all rows
    by_category: list[CategoryFigures] = []  # of the conditions, where there are some


@dataclass(frozen=True)
class Run:
    """A finished run: `model` is in eval mode with the best weights; `heldout` are raw rows that training did not use.

    `folder` holds its files. A temporary one is removed with this object: `save` copies it. Functions that take the path of a
    run take the object too.
    """

    config: RunConfig
    model: AAPTVAE
    prior: LatentPrior
    observation: ObservationModel
    heldout: Rows
    summary: Training
    views: RunViews | None = None
    heldout_elbo: list[float] = field(default_factory=list)
    marginals: Marginals | None = None
    folder: Path | None = None
    owner: TemporaryFolder | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        model: AAPTVAE,
        rows: ArrayLike,
        heldout: ArrayLike,
        *,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
        epochs: int = 1,
    ) -> "Run":
        """The run of a model that another loop trained on `rows` [N, D], evaluated on `heldout` [M, D] that it did not use.

        Half of the held-out rows select the prior of latents; the figures are of the other half. The model is copied.
        `folder` is as in `train`; `epochs` is what the report and the model card say of the training. Raises `InputError`
        for rows that do not fit the model and `RunError` for weights that are not finite.
        """
        from ..own_loop import Facts, run_of  # noqa: PLC0415 - a constructor that needs the rooms above

        return run_of(model, rows, heldout, folder, Facts(seed, epochs))

    @property
    def figures(self) -> Compared:
        """Figures on held-out rows: for each key its value under "model", and its baselines under their names."""
        return compare(self.summary.metrics, self.summary.baseline)

    def report(self) -> RunReport:
        """The report, a page with plots: notebooks show it, other programs open its `path`; `RunError` where none was drawn."""
        if not (path := Path(self) / REPORT).exists():
            raise RunError(f"{self.folder} has no {REPORT}: it was trained without; `aaptvae evaluate {self.folder}` draws it")
        return RunReport(path)

    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> "Run":
        """Copy the run to `folder`, all of it or nothing, and return it from there; `force` replaces a run."""
        with publish_folder(Path(folder), force=force, marker=CONFIG) as temporary:
            shutil.copytree(self, temporary, dirs_exist_ok=True)
        return read_run(folder)

    def __fspath__(self) -> str:
        if self.folder is None:
            raise RunError("this run is in no folder: expected one that train, Run.of or read_run made")
        return str(self.folder)

    def _repr_html_(self) -> str:
        return figures_html(self.summary.metrics, self.summary.baseline)


def build_model(config: RunConfig) -> AAPTVAE:
    """The network of a configuration, with random weights."""
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
        axes=config.axes,
        condition_dim=condition_dim(config.conditions),
    )


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a finished run; `RunError` if it is missing, damaged or not finished."""
    folder = Path(path)
    config, evaluation = read_config(folder), read_evaluation(folder)
    model, prior = load_run(folder), read_prior(final_folder(folder))
    test, _ = read_held_out(folder)
    summary = Training(
        rows=config.rows,
        seed=config.train.seed,
        data_sha256=config.data_sha256,
        epochs=evaluation.epochs,
        metrics=evaluation.metrics,
        baseline=evaluation.baseline,
        refit=evaluation.refit,
    )
    views = read_views(final_folder(folder), config.input_dim, model.latent_dim)
    further = views, evaluation.heldout_elbo, read_marginals(final_folder(folder), config.input_dim)
    return Run(config, model, prior, observation_of(model), test[:EXPORT_ROWS], summary, *further, folder)


def load_run(path: str | os.PathLike[str]) -> AAPTVAE:
    """The model of a run, in eval mode on the CPU, fitted to all rows where it was refitted; `RunError` if it is unreadable."""
    return load_model(final_folder(Path(path)))


def final_folder(run: Path) -> Path:
    """Where the model to use lies: the folder of the refit once that is complete, else the run itself."""
    return run / REFIT if (run / REFIT / PRIOR).exists() else run


def load_model(folder: Path) -> AAPTVAE:
    """The model of exactly this folder, the judged one where it is the run's own."""
    config = read_config(folder)
    if is_unfinished(folder):
        refuse_unfinished(folder, BEST)
    tensors, _ = read_state(folder / BEST)
    with torch.device("meta"):  # a configuration with wrong widths must not allocate memory
        check_shapes(build_model(config), tensors, folder / BEST)
    model = build_model(config)
    load_into(model, tensors, folder / BEST)
    return model.eval()


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run; `RunError` if it is missing or damaged."""
    return _read_json(folder / CONFIG, RunConfig)


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation of a finished run; `RunError` if the run is not finished."""
    refuse_unfinished(folder, EVALUATION)
    return _read_json(folder / EVALUATION, Evaluation)


def refuse_unfinished(folder: Path, name: str) -> None:
    """`RunError` for a run that does not have the file `name` yet."""
    if (folder / CONFIG).exists() and not (folder / name).exists():
        raise RunError(f"{folder} is not finished: continue it with the same aaptvae train command and --resume")


def is_empty(folder: Path) -> bool:
    """Whether `folder` does not exist or holds nothing."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def is_unfinished(folder: Path) -> bool:
    """Whether a training was interrupted here: it writes its configuration first and its evaluation last."""
    return (folder / CONFIG).exists() and not (folder / EVALUATION).exists()


def _read_json(path: Path, kind: type[T]) -> T:
    try:
        if path.stat().st_size > MAX_JSON:
            raise RunError(f"{path} is larger than {MAX_JSON} bytes: give a folder that aaptvae train wrote")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}: give a folder that aaptvae train wrote") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged ({error}): train again, or restore the file") from None


def write_json(path: Path, value: Struct) -> None:
    """Write a struct as indented JSON, atomically."""
    with publish_file(path, force=True) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def write_baseline(folder: Path, baseline: Baseline) -> None:
    """Write the statistics of the training rows."""
    write_state(folder / STATISTICS, {name: torch.from_numpy(array) for name, array in vars(baseline).items()})


def read_baseline(folder: Path) -> Baseline:
    """The statistics of the training rows."""
    width = read_config(folder).input_dim
    along: Shapes = {"eigenvalues": (None,), "spectrum": (None,), "eigenvectors": (width, None)}
    shapes: Shapes = {"mean": (width,), "scale": (width,), **along}
    arrays = read_arrays(folder / STATISTICS, shapes, optional={"constant": (width,)})
    axes = arrays["eigenvectors"].shape[1]
    if not 1 <= axes <= width or {len(arrays["eigenvalues"]), len(arrays["spectrum"])} != {min(axes + 1, width)}:
        raise damaged(folder / STATISTICS, f"it has {axes} axes with {len(arrays['eigenvalues'])} eigenvalues")
    return Baseline(**{"constant": arrays["scale"] == 1} | arrays)  # version 0.1.0 wrote no mask


def write_held_out(folder: Path, test: Rows, train_sample: Rows, positions: Index) -> None:
    """Write the raw test rows, their positions in the table, and a sample of the raw training rows."""
    arrays = {"test": test, "train_sample": train_sample, "positions": positions}
    write_state(folder / HELD_OUT, {name: torch.from_numpy(array) for name, array in arrays.items()})


def read_held_out(folder: Path) -> tuple[Rows, Rows]:
    """The raw test rows and a sample of the raw training rows, with their conditions: [n, D + C] each."""
    config = read_config(folder)
    table = (None, config.input_dim + condition_dim(config.conditions))
    arrays = read_arrays(folder / HELD_OUT, {"test": table, "train_sample": table})
    return arrays["test"], arrays["train_sample"]


def read_positions(folder: Path) -> Index | None:
    """Positions of the test rows in the table [M]; None for a run of before, whose split was `split_rows`."""
    tensors, _ = read_state(folder / HELD_OUT)
    return tensors["positions"].numpy() if "positions" in tensors else None


def write_prior(folder: Path, prior: LatentPrior) -> None:
    """Write the fitted density of latents."""
    write_state(folder / PRIOR, {name: torch.from_numpy(np.array(array)) for name, array in prior.to_arrays().items()})


def read_prior(folder: Path) -> LatentPrior:
    """The fitted density of latents."""
    refuse_unfinished(folder, PRIOR)
    arrays = read_arrays(folder / PRIOR, of_any_size(PRIOR_ARRAYS), optional=of_any_size(OPTIONAL_PRIOR_ARRAYS))
    try:
        prior = LatentPrior.from_arrays(arrays)
    except BundleError as error:
        raise damaged(folder / PRIOR, error) from None
    if prior.latent_dim != read_config(folder).train.latent_dim:
        raise damaged(folder / PRIOR, f"it is of {prior.latent_dim} latents, unlike the configuration")
    return prior
