"""Verbs that compute one row per row of a file: encode, decode, reconstruct, score."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from .options import bundle_options, examples, input_options, json_option, output_option, output_options, with_formats

if TYPE_CHECKING:
    from ..rows import Array, Rows
    from ..vae import VAE


@click.command(
    epilog=examples(
        "encode digits/ x.npy -o z.npy",
        "encode digits/ 'shards/*.npy' -o z.npy --resume",
        "encode digits/ - -o - --format csv < x.csv > z.csv",
    ),
)
@bundle_options
@input_options
@output_option()
@click.option("--logvar", type=click.Path(), metavar="FILE", help="Also write the log variances of the posterior.")
@click.option(
    "--view",
    default="mu",
    show_default=True,
    type=click.Choice(["mu", "metric", "similarity"]),
    help="mu: posterior means; metric: an affine map of them whose distances are the reconstructions'; similarity: for search.",
)
@output_options
@with_formats
def encode(output: str, logvar: str | None, **options: Any) -> int:
    """Write the posterior means (latents) of the features in INPUT, or another view of the rows.

    INPUT is a file ({formats}), a folder or a pattern of such files, or - for stdin.
    """
    from ..vae import VAE  # noqa: PLC0415 - numpy, only when a verb runs
    from .job.stream import run_rows  # noqa: PLC0415

    if logvar is not None and options["view"] != "mu":
        raise click.UsageError("--logvar belongs to the posterior means: leave it out, or --view")
    if logvar is None:
        return run_rows("encode", partial(VAE.embed, view=options["view"]), [output], options)
    return run_rows("encode", VAE.encode, [output, logvar], options)


@click.command(epilog=examples("decode digits/ z.npy -o x.npy", "decode digits/ z.csv -o - --format jsonl"))
@bundle_options
@input_options
@output_option()
@click.option(
    "--view", default="mu", show_default=True, type=click.Choice(["mu", "metric"]), help="Which view the latents of INPUT are."
)
@output_options
def decode(output: str, **options: Any) -> int:
    """Write the features decoded from the latents in INPUT."""
    from ..vae import VAE  # noqa: PLC0415
    from .job.stream import run_rows  # noqa: PLC0415

    return run_rows("decode", partial(VAE.decode, view=options["view"]), [output], options)


@click.command(epilog=examples("reconstruct digits/ x.npy -o x_hat.npy"))
@bundle_options
@input_options
@output_option()
@output_options
def reconstruct(output: str, **options: Any) -> int:
    """Encode and decode the features in INPUT."""
    from ..vae import VAE  # noqa: PLC0415
    from .job.stream import run_rows  # noqa: PLC0415

    return run_rows("reconstruct", VAE.reconstruct, [output], options)


@click.command(epilog=examples("score digits/ x.npy", "score digits/ x.npy --json -o scores.csv"))
@bundle_options
@input_options
@output_option(required=False)
@output_options
@json_option
def score(output: str | None, as_json: bool, **options: Any) -> int:
    """Compute reconstruction error, KL divergence, ELBO and p-value of each row.

    The error is the mean squared error of standardised features (1 for the mean of the training data as reconstruction);
    KL divergence and ELBO are in nats. The p-value is the share of held-out rows with an ELBO as low or lower: alert where
    it is small, 0.01 for instance.

    Without -o, or with --json, a summary of the rows goes to stdout.
    """
    import numpy as np  # noqa: PLC0415

    from ..scores import Scores  # noqa: PLC0415
    from .job.stream import run_rows  # noqa: PLC0415
    from .job.summary import Summary  # noqa: PLC0415

    summarised = as_json or output is None
    if summarised and (output == "-" or options["resume"]):
        raise click.UsageError("the summary needs stdout and all rows: leave out --json, or -o - and --resume")
    summary = Summary(Scores._fields)

    def scored(vae: "VAE", x: "Rows", condition: Any) -> "Array":
        return np.stack(vae.score(x, condition=condition), axis=1)

    status = run_rows("score", scored, [output] if output else [], options, Scores._fields, summary.add)
    if summarised:
        click.echo(summary.text(as_json))
    return status
