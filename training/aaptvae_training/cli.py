"""The verbs `train`, `evaluate` and `diagnose`: options in, one call, a few lines out. --help needs no torch."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from aaptvae.cli.options import examples, image_shape_option, reading_of, training_columns_options, with_formats
from aaptvae.cli.progress import Progress

from .progress import TrainingProgress

PATH = click.Path(path_type=Path)
CLOSING = ("log_likelihood", "r2", "active_units")  # figures that a training ends with


class TrainCommand(click.Command):
    """A command with one more flag for every field of `TrainConfig`; they are made when they are asked for.

    The list of verbs in `aaptvae --help` does not need them.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, then those of the configuration."""
        from .flags import config_flags  # noqa: PLC0415 - msgspec, slow to import

        count = len(self.params)
        params = super().get_params(ctx)  # with --help, which stays last
        return [*params[:count], *config_flags(), *params[count:]]


# How long threads of torch and numpy wait in a loop before they sleep: loops on an OpenMP thread, log2 of cycles on one of
# OpenBLAS. Nothing is lost on an idle machine; on a busy one they leave the processors to threads that work.
WAITING = {"GOMP_SPINCOUNT": "1000", "OPENBLAS_THREAD_TIMEOUT": "4"}


@click.command(
    cls=TrainCommand,
    epilog=examples(
        "train features.npy -o frames-run --latent-dim 64",
        "train 'shards/*.npy' -o large-run --latent-dim 256 --config train.toml",
        "train features.npy -o frames-run --resume",
    ),
)
@click.argument("features", type=click.Path())
@click.option("-o", "--output", required=True, type=PATH, metavar="RUN", help="Folder of the run.")
@click.option("--threads", type=click.IntRange(1), help="Processor threads; else one or all, whichever is faster.")
@click.option("--config", type=PATH, metavar="FILE.toml", help="The options below as TOML keys; flags win.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run with its own options; the result is the same.")
@click.option("--force", is_flag=True, help="Replace an existing run.")
@click.option("--tensorboard", type=PATH, metavar="DIR", help="Also write TensorBoard events.")
@image_shape_option("Show samples as grey pictures of this shape in the report.")
@click.option("--report/--no-report", default=True, help="Draw report.html; evaluate RUN draws it later.")
@training_columns_options
@with_formats
def train(  # noqa: PLR0913 - a command's options are its parameters
    *,
    features: str,
    output: Path,
    config: Path | None,
    resume: bool,
    force: bool,
    tensorboard: Path | None,
    image_shape: tuple[int, int] | None,
    threads: int | None,
    report: bool,
    **flags: Any,
) -> None:
    """Train on FEATURES and write a run: weights, figures and report.html.

    FEATURES is a file, a folder of shards or a pattern in quotes: {formats}.
    A tenth of the rows selects the best weights; another tenth is used by the evaluation alone, which also evaluates PCA.
    Options without a default follow from the data.
    """
    _limit_waiting()
    options = _options(config, flags)
    chosen = {"image_shape": image_shape, "threads": threads, "reading": _reading(flags), "report": report}
    from . import train_run  # noqa: PLC0415 - torch, only when the verb runs
    from .run.layout import REPORT  # noqa: PLC0415

    if resume:
        options = _options(config, flags, train_run.begun_with(output))
    try:
        with closing(TerminalProgress(tensorboard)) as progress:
            evaluation = train_run.train(features, output, options, progress, resume=resume, force=force, **chosen)
    except (SystemExit, KeyboardInterrupt):
        if _is_first_process() and train_run.begun_with(output) is not None:
            click.echo(f"{output} is not finished: continue it with the same command and --resume", err=True)
        raise
    if _is_first_process():
        drawn = f"\nreport: {output / REPORT}" if report else ""
        click.echo(f"{summary(evaluation, output)}{drawn}", err=True)


@click.command(epilog=examples("evaluate frames-run", "evaluate frames-run other.npy --json"))
@click.argument("run", type=PATH)
@click.argument("features", required=False, type=click.Path())
@image_shape_option("Show samples as grey pictures of this shape in the report.")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on stdout.")
@training_columns_options
def evaluate(run: Path, features: str | None, image_shape: tuple[int, int] | None, as_json: bool, **options: Any) -> None:
    """Evaluate a finished RUN again on its held-out rows and write its report again; or evaluate it on FEATURES."""
    _limit_waiting()
    from .evaluate_run import MOST_OTHER_ROWS  # noqa: PLC0415 - torch, only when the verb runs
    from .evaluate_run import evaluate as evaluate_run  # noqa: PLC0415

    with closing(TerminalProgress()) as progress:
        evaluation = evaluate_run(run, features, image_shape, progress, _reading(options))
    rows = "held-out rows" if features is None else f"rows of {features}, its first {MOST_OTHER_ROWS:,} at most"
    click.echo(_json(evaluation) if as_json else summary(evaluation, run, rows))


@click.command(epilog=examples("diagnose features.npy", "diagnose features.npy --json --sigma 0.7"))
@click.argument("features", type=click.Path())
@click.option(
    "--sigma",
    type=click.FloatRange(0, min_open=True),
    help="Also predict active latents for this fixed deviation of standardised features.",
)
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on stdout.")
@training_columns_options
def diagnose(features: str, sigma: float | None, as_json: bool, **options: Any) -> None:
    """Examine FEATURES before training: bad values, constant columns, the spectrum, and how many latents can be active.

    Reads the rows once and needs no torch. Rows with NaN or infinity are listed, counted and left out of everything else.
    """
    _limit_waiting()
    from .diagnosis import describe  # noqa: PLC0415 - numpy, only when the verb runs
    from .diagnosis import diagnose as examine  # noqa: PLC0415

    with closing(TerminalProgress()) as progress:
        found = examine(features, sigma, progress, _reading(options))
    click.echo(_json(found) if as_json else "\n".join(describe(found)))


def _limit_waiting() -> None:
    """Set `WAITING`, which torch and numpy read once, when they are imported."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)


def _options(file: Path | None, flags: dict[str, Any], begun_with: Any = None) -> Any:
    """The options of a training, of which those that are given as flags win."""
    from .config import KEYS, read_options  # noqa: PLC0415 - msgspec, only when the verb runs

    given = {name: value for name, value in flags.items() if name in KEYS and value not in (None, [])}
    return read_options(file, given, begun_with)


def _json(found: Any) -> str:
    import msgspec  # noqa: PLC0415 - only when a verb runs

    return msgspec.json.encode(found).decode()


def _reading(options: dict[str, Any]) -> Any:
    """The columns and the syntax that the options of a command name."""
    from aaptvae.files import Reading  # noqa: PLC0415 - numpy, only when a verb runs

    return Reading(**reading_of(options))


def _is_first_process() -> bool:
    """Whether this process prints: of several, the first does."""
    return os.environ.get("RANK", "0") == "0"


def summary(evaluation: Any, run: Path, rows: str = "held-out rows") -> str:
    """The headline, the main figures with their baselines, and the warnings."""
    from aaptvae.bundle.figures import measured  # noqa: PLC0415 - numpy, only when the verb runs

    from .evaluation.words import headline  # noqa: PLC0415

    lines = [f"{run}: {evaluation.rows:,} {rows}", headline(evaluation.metrics, evaluation.baseline)]
    table = measured(evaluation.metrics, evaluation.baseline, CLOSING)
    width = max(len(figure.label) for figure, _, _ in table)
    for figure, value, others in table:
        unit = f"of {len(evaluation.kl_per_latent)}" if figure.key == "active_units" else figure.unit
        beside = "".join(f"   {label} {other}" for label, other in others)
        lines.append(f"{figure.label:<{width}}  {value:>9} {unit:<12}{beside}".rstrip())
    if evaluation.refit:
        lines.append("These are figures of the model before the refit, which fitted it again to all rows.")
    return "\n".join(lines + [f"warning: {text}" for text in evaluation.warnings])


class TerminalProgress(TrainingProgress):
    """Shows progress on stderr and, with a `tensorboard` folder, writes TensorBoard events."""

    def __init__(self, tensorboard: Path | None = None) -> None:
        super().__init__()
        self._line: Progress | None = None
        self._events: Any = None
        if tensorboard is not None:
            from .events import open_events  # noqa: PLC0415 - an optional package

            self._events = open_events(tensorboard)

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a new line for a stage of `total` units, `done` of which an earlier run did."""
        self._clear()
        self._line = Progress(name, total, done, unit="rows" if name == "reading" else "steps")
        self._line.show()

    def advance(self, units: int) -> None:
        """Count `units` more."""
        if self._line is not None:
            self._line.advance(units)

    def epoch(self, figures: dict[str, float]) -> None:
        """Show the validation ELBO and write all figures of an epoch as events."""
        if self._line is not None:
            self._line.note = f", validation ELBO {figures['validation_elbo']:.2f}"
        if self._events is not None:
            for name, value in figures.items():
                self._events.add_scalar(name, value, int(figures["epoch"]))

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        click.echo(text, err=True)

    def _clear(self) -> None:
        if self._line is not None:
            self._line.close()

    def close(self) -> None:
        """Erase the line and end the file of events."""
        self._clear()
        if self._events is not None:
            self._events.close()
