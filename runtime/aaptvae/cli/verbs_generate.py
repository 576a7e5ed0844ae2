"""Verbs that generate rows: sample, interpolate."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

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
    load_vae,
    output_option,
    output_options,
    reading_of,
    tell,
)

if TYPE_CHECKING:
    from ..interpolation import Curve
    from ..rows import Array


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
@output_option()
@output_options
def sample(rows: int, seed: int | None, output: str, **options: Any) -> None:
    """Draw new rows from the prior."""
    from ..density import resolve_seed  # noqa: PLC0415
    from ..files import Layout  # noqa: PLC0415 - numpy, only when a verb runs
    from .job.job import Job  # noqa: PLC0415
    from .job.stream import batch_rows, same_bundle  # noqa: PLC0415

    if seed is None and options["resume"]:
        raise click.UsageError("--resume needs --seed: a random seed would draw other rows")
    vae, workers = load_for_workers(options)
    if seed is None:
        seed = resolve_seed(seed)
        click.echo(f"seed {seed}", err=True)
    chosen = {key: options[key] for key in ("prior", "temperature", "observation_noise")}
    chosen["condition"] = options["condition"] or None
    size = batch_rows(vae)

    def ranges(start: int) -> Iterator[range]:
        return (range(first, min(first + size, rows)) for first in range(start, rows, size))

    def drawn(part: range, _: int) -> tuple["Array"]:
        return (vae.sample(part, seed=seed, **chosen),)

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


@click.command(epilog=examples("interpolate digits/ frames.npy --steps 8 -o between.npy"))
@bundle_options
@input_argument
@columns_options
@condition_option
@click.option("--steps", default=8, show_default=True, type=click.IntRange(1), help="Steps from one row to the next.")
@click.option("--path", default="linear", show_default=True, type=click.Choice(["linear", "slerp"]))
@output_option()
@format_option
@force_option
def interpolate(steps: int, path: "Curve", output: str, **options: Any) -> None:
    """Interpolate in latent space from each row of INPUT to the next.

    K rows give (K - 1) * STEPS + 1 rows.
    """
    import numpy as np  # noqa: PLC0415

    from ..files import Layout, Reading, open_rows  # noqa: PLC0415
    from ..rows import as_rows  # noqa: PLC0415
    from .job.ahead import close_without_waiting  # noqa: PLC0415
    from .job.job import Job  # noqa: PLC0415
    from .job.stream import batch_rows  # noqa: PLC0415

    vae = load_vae(options)
    width, given = vae.input_dim, options["condition"] or None
    before: Array | None = None

    reading = Reading(width=width, expected=vae.columns, **reading_of(options))
    reader = open_rows(options["input"], format=options["format"], reading=reading)
    tell(reader.notes)

    def walk(batch: "Array", first: int) -> tuple["Array"]:
        nonlocal before
        batch = as_rows(batch, width, reader.name, first)
        start = batch[:1] if before is None else before
        points = vae.interpolate(np.concatenate([start, batch[:-1]]), batch, steps, path=path, condition=given)
        before = batch[-1:]
        # The first point of a segment equals the last point of the segment before.
        rows = points.reshape(-1, steps + 1, width)[:, 1:].reshape(-1, width)
        return (rows if first else rows[steps - 1 :],)

    try:
        rows = None if reader.rows is None else max(0, (reader.rows - 1) * steps + 1)
        outputs = [(output, Layout(width=width, rows=rows, columns=vae.columns or ()))]
        chosen = {key: options[key] for key in ("format", "force")}
        job = Job(verb="interpolate", outputs=outputs, total=reader.rows, **chosen)
        job.run(partial(reader.batches, max(1, batch_rows(vae) // steps)), walk)
    finally:
        close_without_waiting(reader.close)
