"""The commands `export` and `demo`. torch is imported only when a command runs."""

import json
from pathlib import Path
from typing import Any

import click

from aaptvae.bundle.manifest import TOLERANCE
from aaptvae.cli.options import PRECISIONS, examples

PATH = click.Path(path_type=Path)


@click.command(epilog=examples("export digits-run -o digits", "export digits-run -o digits.zip --zip --precision int8"))
@click.argument("run", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, metavar="BUNDLE", help="Folder to write, or file with --zip.")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(PRECISIONS),
    help="Also write graphs of this precision; refused if they lose too much on held-out rows. Repeatable.",
)
@click.option("--speedup", type=float, help="Refuse int8 below this multiple of fp32's speed on this machine. [default: 1]")
@click.option(
    "--compact",
    type=float,
    metavar="SHARE",
    help="Fewest latent directions with this share of mu's variance, e.g. 0.999.",
)
@click.option(
    "--tolerance", type=float, help=f"Largest allowed difference from the trained model. [default and maximum: {TOLERANCE:g}]"
)
@click.option("--name", help="Name in the manifest. [default: from the widths]")
@click.option("--zip", "archive", is_flag=True, help="Write one zip file; implied by a name that ends in .zip.")
@click.option("--triton", type=PATH, metavar="DIR", help="Also write a Triton model repository of the fp32 graphs.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def export(run: Path, output: Path, archive: bool, triton: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Export a trained RUN as a bundle of ONNX graphs.

    Every graph is compared with the trained model in float64 first. Nothing is written if a difference is above the
    tolerance, or if a lower precision loses too much (for int8 also: if it is too slow here).
    """
    from aaptvae.errors import InputError  # noqa: PLC0415
    from aaptvae.files.publish import refuse_existing  # noqa: PLC0415 - numpy and torch, only when the verb runs
    from aaptvae_training import read_run  # noqa: PLC0415

    from .bundle import export_bundle, write_triton  # noqa: PLC0415
    from .options import ExportOptions  # noqa: PLC0415

    if triton is not None:
        refuse_existing(triton, force)
    try:
        chosen = ExportOptions(**{key: value for key, value in options.items() if value not in (None, ())})
    except InputError as error:
        raise click.UsageError(str(error)) from None
    archive = archive or output.suffix == ".zip"
    made = export_bundle(read_run(run), output, chosen, archive=archive, force=force)
    if triton is not None:
        write_triton(made.manifest, made.files, triton, force=force)
    if as_json:
        click.echo(json.dumps(made.report(), indent=2))
    else:
        click.echo("\n".join(made.summary()), err=True)


@click.command()
@click.option("-o", "--output", default="demo", type=PATH, show_default=True, help="Folder for run, bundle and pictures.")
@click.option("--force", is_flag=True, help="Replace an earlier demo.")
def demo(output: Path, force: bool) -> None:
    """Train on handwritten digits, export, run without torch, and draw pictures."""
    from .demo.demo import run_demo  # noqa: PLC0415 - torch, only when the verb runs

    run_demo(output, force=force, say=click.echo)
