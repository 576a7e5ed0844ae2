"""The verbs `train`, `evaluate` and `diagnose`: options in, one call, a few lines out. --help needs no torch."""

import csv
import os
import types
import typing
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import click
import msgspec

from aaptvae.bundle.figures import measured
from aaptvae.cli.options import examples, reading_of, training_columns_options
from aaptvae.cli.progress import Progress
from aaptvae.errors import InputError

from .config import KEYS, ColumnName, Noise, TrainConfig, make_config, read_options
from .progress import TrainingProgress

PATH = click.Path(path_type=Path)
CLOSING = ("log_likelihood", "r2", "active_units")  # figures that a training ends with


class _SigmaType(click.ParamType):  # type: ignore[type-arg] # older clicks know no arguments here
    """The name of a rule, or a number."""

    name = "|".join((*get_args(Noise), "NUMBER"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`value` as a float, or the name of a rule; the configuration checks the range."""
        try:
            return value if value in get_args(Noise) else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor one of {', '.join(get_args(Noise))}", param, ctx)


class _NamesType(click.ParamType):  # type: ignore[type-arg]
    """Names of columns between commas; a name with a comma stands in double quotes."""

    name = "A,B,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The names in `value`."""
        return list(next(csv.reader([value]), []))


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one flag for every field of `TrainConfig`, with the description of the field as its help."""
    hints = typing.get_type_hints(TrainConfig, include_extras=True)
    for field in reversed(msgspec.structs.fields(TrainConfig)):
        flag = "--" + field.name.replace("_", "-")
        text, kind, multiple = _describe(hints[field.name])
        if kind is bool:
            flag = f"{flag}/--no-{flag[2:]}"
        if field.default is not None and "[default" not in text:
            shown = (field.default or ["none"])[0] if multiple else field.default
            text += f" [default: {shown}]"
        default = () if multiple else None  # not that of the field: a flag that is not given must not override the file
        command = click.option(
            flag, field.name, type=kind, multiple=multiple, default=default, help=text, callback=_checked(field.name, multiple)
        )(command)
    return command


def _checked(name: str, multiple: bool) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that refuses a value as wrong usage if the configuration refuses it."""

    def check(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        value = [*chain(*(part if isinstance(part, list) else [part] for part in value))] if multiple else value
        if value not in (None, []):
            try:
                make_config({name: value})
            except InputError as error:
                raise click.BadParameter(str(error).removeprefix("the options: ").partition("; ")[0], ctx, param) from None
        return value

    return check


def _describe(hint: Any) -> tuple[str, Any, bool]:
    """Help text, click type and whether the flag may be repeated, of an annotated field."""
    meta = [part for part in hint.__metadata__ if isinstance(part, msgspec.Meta) and part.description]
    inner = hint.__origin__
    while get_origin(inner) is Annotated:
        inner = inner.__origin__
    return meta[-1].description or "", *_click_type(inner)


def _click_type(inner: Any) -> tuple[Any, bool]:
    if get_origin(inner) is Literal:
        return click.Choice(get_args(inner)), False
    if get_origin(inner) is tuple:
        return (_NamesType() if get_args(inner)[0] is ColumnName else int), True
    if isinstance(inner, types.UnionType) or get_origin(inner) is typing.Union:
        parts = [part for part in get_args(inner) if part is not type(None)]
        if str in (getattr(part, "__origin__", part) for part in parts):
            return str, False
        return (_SigmaType(), False) if len(parts) > 1 else _click_type(getattr(parts[0], "__origin__", parts[0]))
    return inner, False


SPINS = "1000"  # of an OpenMP thread before it sleeps: nothing lost on an idle machine, half the time on a busy one


@click.command(
    epilog=examples(
        "train features.npy -o frames-run --latent-dim 64",
        "train 'shards/*.npy' -o large-run --latent-dim 256 --config train.toml",
        "train features.npy -o frames-run --resume",
    )
)
@click.argument("features", type=click.Path())
@click.option("-o", "--output", required=True, type=PATH, metavar="RUN", help="Folder of the run.")
@click.option("--threads", type=click.IntRange(1), help="Processor threads; else one or all, whichever is faster.")
@click.option("--config", type=PATH, metavar="FILE.toml", help="The options below as TOML keys; flags win.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run with its own options; the result is the same.")
@click.option("--force", is_flag=True, help="Replace an existing run.")
@click.option("--tensorboard", type=PATH, metavar="DIR", help="Also write TensorBoard events.")
@click.option("--image-shape", metavar="HxW", help="Show samples as grey pictures of this shape in the report.")
@click.option("--report/--no-report", default=True, help="Draw report.html; evaluate RUN draws it later.")
@training_columns_options
@_config_options
def train(  # noqa: PLR0913 - a command's options are its parameters
    *,
    features: str,
    output: Path,
    config: Path | None,
    resume: bool,
    force: bool,
    tensorboard: Path | None,
    image_shape: str | None,
    threads: int | None,
    report: bool,
    **flags: Any,
) -> None:
    """Train on FEATURES and write a run: weights, figures and report.html.

    FEATURES is a file, a folder of shards or a pattern in quotes: .npy .npz .csv .jsonl .parquet .arrow .safetensors.
    A tenth of the rows selects the best weights; another tenth is used by the evaluation alone, which also evaluates PCA.
    Options without a default follow from the data.
    """
    given = {name: value for name, value in flags.items() if name in KEYS and value not in (None, [])}
    options = read_options(config, given)
    shape, chosen = _read_shape(image_shape), {"reading": _reading(flags), "report": report}
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read once, when torch is imported
    from . import train_run  # noqa: PLC0415 - torch, only when the verb runs
    from .run.layout import REPORT  # noqa: PLC0415

    if resume:
        options = read_options(config, given, train_run.begun_with(output))
    try:
        with TerminalProgress(tensorboard) as progress:
            evaluation = train_run.train(
                features, output, options, progress, resume=resume, force=force, image_shape=shape, threads=threads, **chosen
            )
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
@click.option("--image-shape", metavar="HxW", help="Show samples as grey pictures of this shape in the report.")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on stdout.")
@training_columns_options
def evaluate(run: Path, features: str | None, image_shape: str | None, as_json: bool, **options: Any) -> None:
    """Evaluate a finished RUN again on its held-out rows and write its report again; or evaluate it on FEATURES."""
    shape = _read_shape(image_shape)
    from .evaluate_run import MOST_OTHER_ROWS  # noqa: PLC0415 - torch, only when the verb runs
    from .evaluate_run import evaluate as evaluate_run  # noqa: PLC0415

    with TerminalProgress() as progress:
        evaluation = evaluate_run(run, features, shape, progress, _reading(options))
    rows = "held-out rows" if features is None else f"rows of {features}, its first {MOST_OTHER_ROWS:,} at most"
    click.echo(msgspec.json.encode(evaluation).decode() if as_json else summary(evaluation, run, rows))


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
    from .diagnosis import describe  # noqa: PLC0415 - numpy, only when the verb runs
    from .diagnosis import diagnose as examine  # noqa: PLC0415

    with TerminalProgress() as progress:
        found = examine(features, sigma, progress, _reading(options))
    click.echo(msgspec.json.encode(found).decode() if as_json else "\n".join(describe(found)))


def _reading(options: dict[str, Any]) -> Any:
    """The columns and the syntax that the options of a command name."""
    from aaptvae.files import Reading  # noqa: PLC0415 - numpy, only when a verb runs

    return Reading(**reading_of(options))


def _is_first_process() -> bool:
    """Whether this process prints: of several, the first does."""
    return os.environ.get("RANK", "0") == "0"


def _read_shape(text: str | None) -> tuple[int, int] | None:
    """`16x32` as (16, 32); wrong usage for anything else."""
    if text is None:
        return None
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise click.UsageError(f"--image-shape is {text!r}: expected HEIGHTxWIDTH, such as 16x32")
    return int(height), int(width)


def summary(evaluation: Any, run: Path, rows: str = "held-out rows") -> str:
    """The headline, the main figures with their baselines, and the warnings."""
    from .evaluation.warnings import headline  # noqa: PLC0415 - numpy, only when the verb runs

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
            self._line.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()
        if self._events is not None:
            self._events.close()
