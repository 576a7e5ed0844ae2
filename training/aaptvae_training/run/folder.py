"""A run: the folder that training writes and that export reads. It holds no pickle and refers to no other file."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from numpy.typing import ArrayLike

from aaptvae.bundle.figures import Compared, compared
from aaptvae.bundle.manifest import Training, condition_dim
from aaptvae.density import OPTIONAL_PRIOR_ARRAYS, PRIOR_ARRAYS, LatentPrior, Marginals, ObservationModel
from aaptvae.errors import BundleError
from aaptvae.files.publish import publish_folder
from aaptvae.rows import Rows

from ..errors import RunError
from ..linear.baseline import Baseline
from ..model import AAPTVAE, observation_of
from .held_out import RowId, read_held_out
from .json_files import RunConfig, is_unfinished, read_config, read_evaluation, refuse_unfinished
from .layout import BEST, CONFIG, PRIOR, REFIT, REPORT, STATISTICS
from .marginals import read_marginals
from .notebook import RunReport, figures_html
from .state import Shapes, check_shapes, damaged, load_into, of_any_size, read_arrays, read_state, write_state
from .temporary import TemporaryFolder
from .views import RunViews, read_views

EXPORT_ROWS = 2_048  # held-out rows on which an export compares its precisions


@dataclass(frozen=True)
class Run:
    """A finished run: `model` is in eval mode with the best weights; `heldout` are raw rows that training did not use.

    `heldout_ids` hold the text of each `ids` column for those rows. `folder` holds its files. A temporary one is removed with
    this object: `save` copies it. Functions that take the path of a run take the object too.
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
    heldout_ids: list[RowId] | None = None
    folder: Path | None = None
    owner: TemporaryFolder | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(  # noqa: PLR0913 - facts that another loop knows
        cls,
        model: AAPTVAE,
        rows: ArrayLike,
        heldout: ArrayLike,
        *,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
        epochs: int = 1,
        report: bool = True,
    ) -> "Run":
        """The run of a model that another loop trained on `rows` [N, D], evaluated on `heldout` [M, D] that it did not use.

        Half of the held-out rows select the prior of latents; the figures are of the other half. The model is copied.
        Rows are tables whose columns are found by name, or what `model.rows_of` makes of them: with conditions [N, D + C].
        `folder` and `report` are as in `train`; `epochs` is what the report and the model card say of the training. Raises
        `InputError` for rows that do not fit the model and `RunError` for weights that are not finite.
        """
        from ..own_loop import Facts, run_of  # noqa: PLC0415 - a constructor that needs the rooms above

        return run_of(model, rows, heldout, folder, Facts(seed, epochs, report))

    @property
    def figures(self) -> Compared:
        """Figures on held-out rows: for each key its value under "model", and its baselines under their names."""
        return compared(self.summary.metrics, self.summary.baseline)

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
    options = config.options
    model = AAPTVAE(
        config.input_dim,
        options.latent_dim,
        options.hidden_dim,
        beta=options.beta,
        linear_skip=options.linear_skip,
        sigma=options.sigma,
        likelihood=options.likelihood,
        dropout=options.dropout,
        bounded=config.bounded,
        axes=config.axes,
        condition_dim=condition_dim(config.conditions),
    )
    model.columns, model.conditions = config.columns, config.conditions
    return model


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a finished run; `RunError` if it is missing, damaged or not finished."""
    folder = Path(path)
    config, evaluation = read_config(folder), read_evaluation(folder)
    final = final_folder(folder)
    model = load_model(final, config if final == folder else read_config(final))
    prior, held_out = read_prior(final, config), read_held_out(folder, config)
    summary = Training(
        rows=config.rows,
        seed=config.options.seed,
        data_sha256=config.data_sha256,
        epochs=evaluation.epochs,
        metrics=evaluation.metrics,
        baseline=evaluation.baseline,
        refit=evaluation.refit,
    )
    views = read_views(final, config.input_dim, model.latent_dim)
    further = views, evaluation.heldout_elbo, read_marginals(final, config.input_dim)
    named = None if held_out.ids is None else held_out.ids[:EXPORT_ROWS]
    return Run(config, model, prior, observation_of(model), held_out.test[:EXPORT_ROWS], summary, *further, named, folder)


def load_run(path: str | os.PathLike[str]) -> AAPTVAE:
    """The model of a run, in eval mode on the CPU, fitted to all rows where it was refitted; `RunError` if it is unreadable."""
    final = final_folder(Path(path))
    return load_model(final, read_config(final))


def final_folder(run: Path) -> Path:
    """Where the model to use lies: the folder of the refit once that is complete, else the run itself."""
    return run / REFIT if (run / REFIT / PRIOR).exists() else run


def load_model(folder: Path, config: RunConfig) -> AAPTVAE:
    """The model of exactly this folder and its configuration, the judged one where it is the run's own."""
    if is_unfinished(folder):
        refuse_unfinished(folder, BEST)
    tensors, _ = read_state(folder / BEST)
    with torch.device("meta"):  # a configuration with wrong widths must not allocate memory
        check_shapes(build_model(config), tensors, folder / BEST)
    model = build_model(config)
    load_into(model, tensors, folder / BEST)
    return model.eval()


def write_baseline(folder: Path, baseline: Baseline) -> None:
    """Write the statistics of the training rows."""
    write_state(folder / STATISTICS, vars(baseline))


def read_baseline(folder: Path, config: RunConfig) -> Baseline:
    """The statistics of the training rows."""
    width = config.input_dim
    along: Shapes = {"eigenvalues": (None,), "spectrum": (None,), "eigenvectors": (width, None)}
    shapes: Shapes = {"mean": (width,), "scale": (width,), **along}
    arrays = read_arrays(folder / STATISTICS, shapes, optional={"constant": (width,)})
    axes = arrays["eigenvectors"].shape[1]
    if not 1 <= axes <= width or {len(arrays["eigenvalues"]), len(arrays["spectrum"])} != {min(axes + 1, width)}:
        raise damaged(folder / STATISTICS, f"it has {axes} axes with {len(arrays['eigenvalues'])} eigenvalues")
    return Baseline(**{"constant": arrays["scale"] == 1} | arrays)  # version 0.1.0 wrote no mask


def write_prior(folder: Path, prior: LatentPrior) -> None:
    """Write the fitted density of latents."""
    write_state(folder / PRIOR, prior.to_arrays())


def read_prior(folder: Path, config: RunConfig) -> LatentPrior:
    """The fitted density of latents."""
    refuse_unfinished(folder, PRIOR)
    arrays = read_arrays(folder / PRIOR, of_any_size(PRIOR_ARRAYS), optional=of_any_size(OPTIONAL_PRIOR_ARRAYS))
    try:
        prior = LatentPrior.from_arrays(arrays)
    except BundleError as error:
        raise damaged(folder / PRIOR, error) from None
    if prior.latent_dim != config.options.latent_dim:
        raise damaged(folder / PRIOR, f"it is of {prior.latent_dim} latents, unlike the configuration")
    return prior
