"""Verbs that generate rows: sample, interpolate."""

from collections.abc import Iterator
from typing import Any

import click

from .options import (
    bundle_options,
    columns_options,
    condition_option,
    examples,
    force_option,
    format_option,
    input_argument,
    load_for_workers,
    output_option,
    output_options,
    rows_condition_option,
)


def _temperature(_: click.Context, __: click.Parameter, value: float) -> float:
    from ..density import MAX_TEMPERATURE  # noqa: PLC0415 - numpy, only when a verb runs

    if not 0 <= value <= MAX_TEMPERATURE:  # click.FloatRange accepts NaN
        raise click.BadParameter(f"{value} is not in the range 0<=x<={MAX_TEMPERATURE:g}.")
    return value


@click.command(epilog=examples("sample digits/ -n 1000 --seed 0 -o new.npy", "sample digits/ -n 5 -o - --format jsonl"))
@bundle_options
@click.option("-n", "--rows", required=True, type=click.IntRange(0), help="How many rows to draw.")
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), help="Equal seeds give equal rows. Default: a random seed.")
@click.option("--prior", default="fitted", show_default=True, type=click.Choice(["fitted", "standard"]))
@click.option("--temperature", default=1.0, show_default=True, callback=_temperature, help="Factor on the prior's deviations.")
@condition_option
@click.option("--observation-noise", is_flag=True, help="Add the noise of the observation model.")
@click.option("--as-observed", is_flag=True, help="Add that noise, and give columns the values of the training rows.")
@output_option()
@output_options
def sample(rows: int, seed: int | None, output: str, **options: Any) -> None:
    """Draw new rows from the prior."""
    from ..density import resolve_seed  # noqa: PLC0415
    from ..files import Batch, Layout  # noqa: PLC0415 - numpy, only when a verb runs
    from .job.job import Job  # noqa: PLC0415
    from .job.stream import batch_rows, same_bundle  # noqa: PLC0415

    if seed is None and options["resume"]:
        raise click.UsageError("--resume needs --seed: a random seed would draw other rows")
    vae, workers = load_for_workers(options)
    if seed is None:
        seed = resolve_seed(seed)
        click.echo(f"seed {seed}", err=True)
    chosen = {key: options[key] for key in ("prior", "temperature", "observation_noise", "as_observed")}
    chosen["condition"] = options["condition"] or None
    size = batch_rows(vae)

    def ranges(start: int) -> Iterator[range]:
        return (range(first, min(first + size, rows)) for first in range(start, rows, size))

    def drawn(part: range, _: int) -> tuple[Batch]:
        return (Batch(vae.sample(part, seed=seed, **chosen)),)

    job = Job(
        verb="sample",
        outputs=[(output, Layout(width=vae.input_dim, rows=rows, columns=vae.columns or ()))],
        total=rows,
        format=options["format"],
        force=options["force"],
        resume=options["resume"],
        workers=workers,
        identity=same_bundle(vae) | {"sample": f"{rows} {seed} {chosen}"},
    )
    job.run(ranges, drawn)


@click.command(
    epilog=examples(
        "interpolate digits/ frames.npy --steps 8 -o between.npy",
        "interpolate clips/ frames.parquet --times 100 --group clip --order second -o even.parquet",
    )
)
@bundle_options
@input_argument
@columns_options
@rows_condition_option
@click.option("--steps", type=click.IntRange(1), help="Steps from one row to the next. [default: 8]")
@click.option(
    "--times",
    metavar="N|A:B:STEP",
    help="Instead of steps: each sequence at N equally spaced times from its first to its last, or at these times.",
)
@click.option("--group", metavar="COLUMN", help="With --times: rows with equal values are one sequence. Default: all rows.")
@click.option("--order", metavar="COLUMN", help="With --times: time of each row, numbers or dates. Default: its position.")
@click.option("--path", default="linear", show_default=True, type=click.Choice(["linear", "slerp"]))
@output_option()
@format_option
@force_option
def interpolate(
    steps: int | None, times: str | None, group: str | None, order: str | None, output: str, **options: Any
) -> None:
    """Interpolate in latent space from each row of INPUT to the next.

    K rows give (K - 1) * STEPS + 1 rows. With --times the rows of each sequence are given at other times, as many as wanted;
    the columns of --group and --order come first in the output, which must then be csv, jsonl, parquet or arrow.
    """
    from .sequences import parse_times, resample_rows  # noqa: PLC0415
    from .steps import walk_rows  # noqa: PLC0415 - numpy, only when a verb runs

    if times is None:
        if group or order:
            raise click.UsageError("--group and --order belong to --times: add it, or leave them out")
        walk_rows(steps or 8, output, options)
    elif steps is not None:
        raise click.UsageError("--steps and --times were both given: leave one out")
    else:
        resample_rows(parse_times(times), group, order, output, options)
