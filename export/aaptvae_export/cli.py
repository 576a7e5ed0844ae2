"""The verbs `export` and `demo`: options in, one call, a few lines out. torch is imported only when a verb runs."""

import json
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, metavar="BUNDLE", help="Folder, or file with --zip.")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(["fp32", "int8", "fp16"]),
    help="Twins beside fp32, each through its own gate: int8 is faster, fp16 only smaller; may be repeated.",
)
@click.option("--speedup", type=float, help="Least speed of int8 here, as a factor of fp32's. [default: 1]")
@click.option("--compact", type=float, metavar="SHARE", help="Fewest latents that hold this share of mu's variance, as 0.999.")
@click.option("--tolerance", type=float, help="Tighter parity tolerance. [default: 1e-5]")
@click.option("--name", help="Name in the manifest. [default: from the widths]")
@click.option("--zip", "archive", is_flag=True, help="One file instead of a folder; a name in .zip means it.")
@click.option("--triton", type=PATH, metavar="DIR", help="Also write a Triton model repository of the fp32 graphs.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON on stdout.")
def export(run: Path, output: Path, archive: bool, triton: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Export a trained RUN as a bundle that carries its own proof.

    The graphs are compared with torch and with a float64 reference first; a difference beyond the tolerance, or a
    twin that loses too much (int8 also: is not so many times faster here), publishes nothing.

    \b
    Examples:
      aaptvae export digits-run -o digits
      aaptvae export digits-run -o digits.zip --zip --precision int8
    """
    from aaptvae.bundle.reading import read_bundle  # noqa: PLC0415
    from aaptvae.errors import InputError  # noqa: PLC0415
    from aaptvae.files.publish import refuse_existing  # noqa: PLC0415 - numpy and torch, only when the verb runs
    from aaptvae_training import read_run  # noqa: PLC0415

    from .bundle.draft import ExportOptions  # noqa: PLC0415
    from .bundle.publish import export_bundle  # noqa: PLC0415
    from .bundle.triton import write_triton  # noqa: PLC0415

    if triton is not None:
        refuse_existing(triton, force)
    try:
        chosen = ExportOptions(**{key: value for key, value in options.items() if value not in (None, ())})
    except InputError as error:
        raise click.UsageError(str(error)) from None
    archive = archive or output.suffix == ".zip"
    made = export_bundle(read_run(run), output, chosen, archive=archive, force=force)
    if triton is not None:
        write_triton(read_bundle(output), triton, force=force)
    if as_json:
        click.echo(json.dumps(made.report(), indent=2))
    else:
        click.echo("\n".join(made.summary()), err=True)


@click.command()
@click.option("-o", "--output", default="demo", type=PATH, show_default=True, help="Folder for everything made.")
@click.option("--force", is_flag=True, help="Replace an earlier demo.")
def demo(output: Path, force: bool) -> None:
    """Train on handwritten digits, export, and run without torch; leave a bundle and pictures."""
    from .demo.demo import run_demo  # noqa: PLC0415 - torch, only when the verb runs

    run_demo(output, force=force, say=click.echo)
