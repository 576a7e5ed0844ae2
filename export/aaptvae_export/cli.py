"""The commands `export` and `demo`. torch is imported only when a command runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aaptvae.cli.options import PRECISIONS, examples, reading_of, web_rows_options
from aaptvae.cli.verbs_explore import OF_ROWS, look_options, wasm_at_hand

if TYPE_CHECKING:
    from aaptvae.explorer import MapRows
    from aaptvae_training import Run

    from .bundle import Export

PATH = click.Path(path_type=Path)


class ToleranceOption(click.Option):
    """An option whose help ends with the tolerance of a bundle; `aaptvae --help` does not import msgspec for it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The flag and its help."""
        from aaptvae.bundle.manifest import TOLERANCE  # noqa: PLC0415

        record = super().get_help_record(ctx)
        return record and (record[0], f"{record[1]} [default and maximum: {TOLERANCE:g}]")


@click.command(
    epilog=examples(
        "export digits-run -o digits",
        "export digits-run -o digits.zip --zip --precision int8",
        "export digits-run -o digits --web site --web-rows heldout --image-shape 8x8",
    )
)
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
@click.option("--tolerance", type=float, cls=ToleranceOption, help="Largest allowed difference from the trained model.")
@click.option("--name", help="Name in the manifest. [default: from the widths]")
@click.option("--zip", "archive", is_flag=True, help="Write one zip file; implied by a name that ends in .zip.")
@click.option("--triton", type=PATH, metavar="DIR", help="Also write a Triton model repository of the fp32 graphs.")
@click.option("--web", type=PATH, metavar="DIR", help="Also write an explorer: a page for any web server.")
@click.option(
    "--web-rows",
    metavar="FILE|heldout",
    help="Rows for the explorer's map, which DIR then holds. Default: those that the bundle carries.",
)
@web_rows_options
@look_options
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

    page, offline = _page_of(options), options.pop("offline")
    for folder in (triton, page["web"]):
        if folder is not None:
            refuse_existing(folder, force)
    try:
        chosen = ExportOptions(**{key: value for key, value in options.items() if value not in (None, ())})
    except InputError as error:
        raise click.UsageError(str(error)) from None
    found = read_run(run)
    if page["web"] is not None:
        page |= {
            "table": _map_rows(found, page.pop("web_rows"), page["image_shape"], **page.pop("rows_options")),
            "wasm": wasm_at_hand(offline, page["wasm"]),
        }
    made = export_bundle(found, output, chosen, archive=archive or output.suffix == ".zip", force=force)
    if triton is not None:
        write_triton(made.manifest, made.files, triton, force=force)
    if page["web"] is not None:
        _write_explorer(made, force, **page)
    if as_json:
        click.echo(json.dumps(made.report(), indent=2))
    else:
        click.echo("\n".join(made.summary()), err=True)


def _page_of(options: dict[str, Any]) -> dict[str, Any]:
    """The options of an explorer, which are taken out of those of the command."""
    page = {key: options.pop(key) for key in ("web", "web_rows", "image_shape", "curve", "wasm")}
    reading = {key: options.pop(key) for key in OF_ROWS}
    page["rows_options"] = {key: options.pop(key) or None for key in ("label", "condition")}
    if page["web"] is None and page["web_rows"] is not None:
        raise click.UsageError("--web-rows names rows of an explorer: pass --web DIR too")
    given = [key for key, value in (page["rows_options"] | reading).items() if value not in (None, ())]
    if given and page["web_rows"] in (None, "heldout"):
        raise click.UsageError(f"--{given[0]} is about the rows of --web-rows FILE: pass a file; other rows have their own")
    page["rows_options"]["reading"] = reading_of(reading)
    return page


def _map_rows(
    run: "Run", source: str | None, shape: tuple[int, int] | None, *, reading: dict[str, Any], **given: Any
) -> "MapRows | None":
    """Rows for an explorer's map, which are read before anything is written; None for those that the bundle carries.

    `reading` has fields of `Reading` for a file; `given` its label and conditions of all its rows.
    """
    from aaptvae.conditions import Conditions  # noqa: PLC0415
    from aaptvae.explorer import MapModel, heldout_rows, read_table  # noqa: PLC0415
    from aaptvae.files import Reading  # noqa: PLC0415
    from aaptvae.rows import check_image_shape  # noqa: PLC0415

    config = run.config
    check_image_shape(shape, config.input_dim)
    if source is None or source == "heldout":
        return None if source is None else heldout_rows(run.heldout, config.input_dim)
    means = run.observation.mean if config.options.missing == "mean" else None
    model = MapModel(config.input_dim, config.columns, Conditions(config.conditions), means)
    return read_table(source, model, Reading(**reading), **given)


def _write_explorer(made: "Export", force: bool, *, web: Path, table: "MapRows | None", **look: Any) -> None:
    """A page that runs the exported bundle, with the rows that were asked for."""
    from aaptvae.bundle import read_bundle  # noqa: PLC0415
    from aaptvae.explorer import Site  # noqa: PLC0415

    Site(bundle=read_bundle(made), table=table, **look).write(web, force=force)
    shown = f"{len(table.rows)} rows, which are in that folder" if table else "the rows that the bundle carries"
    click.echo(f"explorer: put {web} on a web server, or run aaptvae explore {made.path}; its map shows {shown}", err=True)


@click.command()
@click.option("-o", "--output", default="demo", type=PATH, show_default=True, help="Folder for run, bundle and pictures.")
@click.option("--force", is_flag=True, help="Replace an earlier demo.")
def demo(output: Path, force: bool) -> None:
    """Train on handwritten digits, export, run without torch, and draw pictures."""
    from .demo.demo import run_demo  # noqa: PLC0415 - torch, only when the verb runs

    run_demo(output, force=force, say=click.echo)
