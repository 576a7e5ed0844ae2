"""The verbs `train`, `evaluate` and `diagnose`: options in, one call, a few lines out. torch comes when a verb runs."""

import os
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import click
import msgspec

from aaptvae.cli.options import examples
from aaptvae.cli.progress import Progress
from aaptvae.errors import InputError

from .config import Noise, TrainConfig, make_config, read_config
from .talk import Talk

PATH = click.Path(path_type=Path)


class SigmaType(click.ParamType):  # type: ignore[type-arg] # older clicks know no arguments here
    """A rule by name, or a number."""

    name = "|".join((*get_args(Noise), "NUMBER"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A float where it reads as one; the configuration checks its range."""
        try:
            return value if value in get_args(Noise) else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor one of {', '.join(get_args(Noise))}", param, ctx)


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One flag for every field of `TrainConfig`, described where the field is."""
    hints = typing.get_type_hints(TrainConfig, include_extras=True)
    for field in reversed(msgspec.structs.fields(TrainConfig)):
        flag = "--" + field.name.replace("_", "-")
        text, kind, multiple = _describe(hints[field.name])
        if kind is bool:
            flag = f"{flag}/--no-{flag[2:]}"
        if field.default is not None and "[default" not in text:
            shown = field.default[0] if multiple else field.default
            text += f" [default: {shown}]"
        default = () if multiple else None  # not the field's: a flag that was not given must not win over the file
        command = click.option(
            flag, field.name, type=kind, multiple=multiple, default=default, help=text, callback=_checked(field.name, multiple)
        )(command)
    return command


def _checked(name: str, multiple: bool) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A value that the configuration would not take is wrong usage."""

    def check(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        value = list(value) if multiple else value
        if value not in (None, []):
            try:
                make_config({name: value})
            except InputError as error:
                raise click.BadParameter(str(error).removeprefix("the options: ").partition("; ")[0], ctx, param) from None
        return value

    return check


def _describe(hint: Any) -> tuple[str, Any, bool]:
    """Help text, click type and whether it repeats, of an annotated field."""
    meta = [part for part in hint.__metadata__ if isinstance(part, msgspec.Meta) and part.description]
    inner = hint.__origin__
    while get_origin(inner) is Annotated:
        inner = inner.__origin__
    return meta[-1].description or "", *_click_type(inner)


def _click_type(inner: Any) -> tuple[Any, bool]:
    if get_origin(inner) is Literal:
        return click.Choice(get_args(inner)), False
    if get_origin(inner) is tuple:
        return int, True
    if isinstance(inner, types.UnionType) or get_origin(inner) is typing.Union:
        parts = [part for part in get_args(inner) if part is not type(None)]
        return (SigmaType(), False) if len(parts) > 1 else _click_type(getattr(parts[0], "__origin__", parts[0]))
    return inner, False


@click.command(
    epilog=examples(
        "train features.npy -o frames-run --latent-dim 64",
        "train 'shards/*.npy' -o large-run --latent-dim 256 --config train.toml",
        "train features.npy -o frames-run --resume",
    )
)
@click.argument("features", type=click.Path())
@click.option("-o", "--output", required=True, type=PATH, metavar="RUN", help="Folder of the run.")
@click.option("--threads", type=click.IntRange(1), help="Processor threads; else what suits the network and the machine.")
@click.option("--config", type=PATH, metavar="FILE.toml", help="The options below as TOML keys; flags win.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run exactly where it was, with its own options.")
@click.option("--force", is_flag=True, help="Replace an existing run.")
@click.option("--tensorboard", type=PATH, metavar="DIR", help="Also write TensorBoard events.")
@click.option("--image-shape", metavar="HxW", help="Show samples as grey pictures of this shape in the report.")
@config_options
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
    **flags: Any,
) -> None:
    """Train on FEATURES and leave a run: weights, figures and report.html.

    FEATURES is a file, a folder of shards or a pattern in quotes: .npy .npz .csv .jsonl .parquet .safetensors. A tenth
    of the rows selects the best weights, another tenth only judges them, beside PCA.
    Options without a default follow from the data.
    """
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    options = read_config(config, given)
    shape = read_shape(image_shape)
    from .run.layout import REPORT  # noqa: PLC0415
    from .train_run import begun_with  # noqa: PLC0415 - torch, only when the verb runs
    from .train_run import train as run_training  # noqa: PLC0415

    if resume:
        options = read_config(config, given, begun_with(output))
    try:
        with Console(tensorboard) as talk:
            evaluation = run_training(
                features, output, options, talk, resume=resume, force=force, image_shape=shape, threads=threads
            )
    except (SystemExit, KeyboardInterrupt):
        if leads() and begun_with(output) is not None:
            click.echo(f"{output} holds what was trained: the same command with --resume goes on from its last epoch", err=True)
        raise
    if leads():
        click.echo(f"{summary(evaluation, output)}\nreport: {output / REPORT}", err=True)


@click.command(epilog=examples("evaluate frames-run", "evaluate frames-run other.npy --json"))
@click.argument("run", type=PATH)
@click.argument("features", required=False, type=click.Path())
@click.option("--image-shape", metavar="HxW", help="Show samples as grey pictures of this shape in the report.")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on stdout.")
def evaluate(run: Path, features: str | None, image_shape: str | None, as_json: bool) -> None:
    """Judge a finished RUN again on the rows it never saw, and remake its report; or judge it on FEATURES."""
    shape = read_shape(image_shape)
    from .evaluate_run import MOST_OTHER_ROWS  # noqa: PLC0415 - torch, only when the verb runs
    from .evaluate_run import evaluate as judge  # noqa: PLC0415

    evaluation = judge(run, features, shape)
    rows = "held-out rows" if features is None else f"rows of {features}, its first {MOST_OTHER_ROWS:,} at most"
    click.echo(msgspec.json.encode(evaluation).decode() if as_json else summary(evaluation, run, rows))


@click.command(epilog=examples("diagnose features.npy", "diagnose features.npy --json --sigma 0.7"))
@click.argument("features", type=click.Path())
@click.option(
    "--sigma",
    type=click.FloatRange(0, min_open=True),
    help="Predict active units for this fixed deviation of standardised features too.",
)
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on stdout.")
def diagnose(features: str, sigma: float | None, as_json: bool) -> None:
    """Say what is in FEATURES before training on them: bad values, idle columns, spectrum, and how many latents would live.

    Reads the rows once and needs no torch. Rows with NaN or infinity are named, counted and left out of the rest.
    """
    from .diagnosis.survey import diagnose as examine  # noqa: PLC0415 - numpy, only when the verb runs

    with Console(None) as talk:
        found = examine(features, sigma, talk)
    click.echo(msgspec.json.encode(found).decode() if as_json else "\n".join(found.lines()))


def leads() -> bool:
    """Whether this process talks: one of several does."""
    return os.environ.get("RANK", "0") == "0"


def read_shape(text: str | None) -> tuple[int, int] | None:
    """`16x32` as (16, 32); wrong usage for anything else."""
    if text is None:
        return None
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise click.UsageError(f"--image-shape is {text!r}: expected HEIGHTxWIDTH, such as 16x32")
    return int(height), int(width)


def summary(evaluation: Any, run: Path, rows: str = "held-out rows") -> str:
    """The figures that decide, beside their baselines, and the warnings."""
    own, base = evaluation.metrics, evaluation.baseline
    lines = [f"{run}: {evaluation.rows:,} {rows}"]
    labels = {"ppca": "pPCA", "gaussian": "full Gaussian", "independent": "independent features"}
    known = ((label, f"{name}_log_likelihood") for name, label in labels.items())
    beside = "".join(f"   {label} {base[key]:.2f}" for label, key in known if key in base)
    lines.append(f"log-likelihood  {own['log_likelihood']:9.2f} nats per row{beside}")
    lines.append(f"R2              {own['r2']:9.4f}                PCA {base['r2']:.4f}")
    lines.append(f"active latents  {own['active_units']:9.0f} of {len(evaluation.kl_per_latent)}")
    return "\n".join(lines + [f"note: {warning}" for warning in evaluation.warnings])


class Console(Talk):
    """Talk on stderr for a person who watches, and TensorBoard events for one who looks later."""

    def __init__(self, tensorboard: Path | None) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._events: Any = None
        if tensorboard is not None:
            from .events import open_events  # noqa: PLC0415 - an optional package

            self._events = open_events(tensorboard)

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of `total` units begins, `done` of which an earlier run did."""
        self.close_stage()
        self._progress = Progress(name, total, done, unit="rows" if name == "reading" else "steps")

    def advance(self, units: int) -> None:
        """That many units more are done."""
        if self._progress is not None:
            self._progress.advance(units)

    def epoch(self, figures: dict[str, float]) -> None:
        """An epoch ended with these figures."""
        if self._progress is not None:
            self._progress.note = f", validation ELBO {figures['validation_elbo']:.2f}"
        if self._events is not None:
            for name, value in figures.items():
                self._events.add_scalar(name, value, int(figures["epoch"]))

    def close_stage(self) -> None:
        """Take the line of the last stage away."""
        if self._progress is not None:
            self._progress.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_stage()
        if self._events is not None:
            self._events.close()
