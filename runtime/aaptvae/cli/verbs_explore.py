"""The verb explore: a bundle, or a run as a bundle in memory, in the browser."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, MissingDependencyError
from .app import EXTRA, entry_points
from .options import (
    PRECISIONS,
    columns_options,
    condition_option,
    examples,
    image_shape_option,
    printable,
    reading_of,
    row_ids_option,
    together,
)

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..conditions import Conditions
    from ..explorer import MapRows


OF_ROWS = ("id", "columns", "drop", "header", "delimiter", "decimal")  # options of how --rows is read

look_options = together(
    image_shape_option("Explorer: show rows as grey pictures of this shape."),
    click.option("--curve", is_flag=True, help="Explorer: show rows as curves, for features in an order."),
    click.option("--offline", is_flag=True, help="Explorer: refuse to fetch onnxruntime from a network."),
    click.option(
        "--wasm",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Explorer: onnxruntime-web's .wasm, from its npm package.",
    ),
)


def wasm_at_hand(offline: bool, wasm: Path | None) -> bytes | None:
    """onnxruntime's WebAssembly, or None, which is said; `InputError` with `offline` where this machine has no copy."""
    from ..explorer import VERSION, find_wasm  # noqa: PLC0415 - numpy, only when a verb runs

    found = find_wasm(wasm)
    if found is None and offline:
        raise InputError(
            f"found no onnxruntime-web {VERSION} on this machine: expected its npm package, or --wasm FILE: "
            f"npm install onnxruntime-web@{VERSION}"
        )
    if found is None:
        click.echo(f"browsers will fetch onnxruntime-web {VERSION} from cdn.jsdelivr.net and check its SHA-256", err=True)
    return found


def _opened(place: str, sha256: str | None) -> "tuple[Bundle, MapRows | None]":
    """The bundle at `place`, and None; of a run, a bundle that is written nowhere, and its held-out rows."""
    from ..bundle import read_bundle  # noqa: PLC0415 - msgspec, numpy, only when a verb runs
    from ..bundle.sources import is_run  # noqa: PLC0415
    from ..explorer import heldout_rows  # noqa: PLC0415

    if not is_run(place):
        return read_bundle(place, sha256=sha256), None
    try:
        module, _, name = entry_points("aaptvae.runs")["explore"].partition(":")
        packed_run = getattr(importlib.import_module(module), name)
    except (ImportError, KeyError) as error:
        lost = error.name or error if isinstance(error, ImportError) else "aaptvae_export"
        raise MissingDependencyError(
            f"{place} is a run, which cannot be explored without {lost}: {EXTRA}, "
            "or explore a bundle that aaptvae export made of it"
        ) from None
    click.echo(printable(f"exporting {place} in memory; its map shows held-out rows"), err=True)
    data, heldout, ids = packed_run(place)
    found = read_bundle(data, sha256=sha256)
    return found, heldout_rows(heldout, found.manifest.input_dim, ids)


def _map_rows(path: str, found: "Bundle", conditions: "Conditions", reading: dict[str, Any], **given: Any) -> "MapRows":
    """The rows of a file for the map of a bundle."""
    from ..densities import read_densities  # noqa: PLC0415
    from ..explorer import MapModel, read_table  # noqa: PLC0415
    from ..files import Reading  # noqa: PLC0415

    manifest = found.manifest
    means = read_densities(found).observation.mean if manifest.missing == "mean" else None
    model = MapModel(manifest.input_dim, manifest.columns, conditions, means)
    return read_table(path, model, Reading(**reading), **given)


@click.command(
    epilog=examples("explore digits/ --image-shape 8x8", "explore run/", "explore digits/ --rows new.csv --label id")
)
@click.argument("bundle", type=click.Path(), metavar="BUNDLE|RUN")
@click.option(
    "--rows",
    type=click.Path(),
    metavar="FILE",
    help="Rows for the map. Default: those that the bundle carries, or held-out rows of the run.",
)
@click.option("--label", metavar="NAME", help="Column of --rows that is no feature, by which points are coloured.")
@columns_options
@row_ids_option
@condition_option
@click.option("--precision", default="fp32", show_default=True, type=click.Choice(PRECISIONS))
@look_options
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free port.")
@click.option("--open/--no-open", "browser", default=True, help="Open a browser. Default: yes.")
@click.option("--sha256", metavar="DIGEST", help="Digest that the bundle must have.")
def explore(
    bundle: str, rows: str | None, label: str | None, port: int, browser: bool, sha256: str | None, **look: Any
) -> None:
    """Explore the latents of a bundle or of a run in a browser.

    A page on 127.0.0.1 runs the bundle itself: rows do not leave this machine. Ends with Ctrl+C. A run is exported in memory
    first, which needs torch.
    """
    from ..conditions import Conditions  # noqa: PLC0415
    from ..explorer import Served, Site  # noqa: PLC0415

    condition, reading = look.pop("condition"), reading_of(look)
    options = [name for name, value in [("label", label), *((n, look.pop(n)) for n in OF_ROWS)] if value not in (None, ())]
    if options and rows is None:
        raise click.UsageError(f"--{options[0]} is about columns of --rows: pass both")
    found, table = _opened(bundle, sha256)
    conditions = Conditions(found.manifest.conditions)
    conditions.fixed(condition or None)  # an unknown one is refused
    if condition and rows is None:
        raise click.UsageError("--condition is a condition of --rows: pass both, or choose one on the page")
    look["wasm"] = wasm_at_hand(look.pop("offline"), look["wasm"])
    if rows is not None:
        table = _map_rows(rows, found, conditions, reading, label=label, condition=condition or None)
    site = Site(bundle=found, table=table, **look)
    with Served(site.files(), port) as served:
        click.echo(printable(f"{found.manifest.name} is at {served.address} until Ctrl+C"), err=True)
        if browser:
            click.launch(served.address)
        served.run()
