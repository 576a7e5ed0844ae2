"""The verb explore: a bundle in the browser."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import examples, printable, together

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..explorer import Site, Table


def _shape(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text or "")
    if text is not None and found is None:
        raise click.BadParameter(f"{text!r} is no HEIGHTxWIDTH, such as 8x8.")
    return found and (int(found[1]), int(found[2]))


look_options = together(
    click.option("--image-shape", metavar="HxW", callback=_shape, help="Explorer: show rows as grey pictures of this shape."),
    click.option("--curve", is_flag=True, help="Explorer: show rows as curves, for features in an order."),
    click.option("--offline", is_flag=True, help="Explorer: refuse to fetch onnxruntime from a network."),
    click.option(
        "--wasm",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Explorer: the .wasm of onnxruntime-web's npm package.",
    ),
)


def make_site(
    bundle: "Bundle",
    table: "Table | None",
    *,
    image_shape: tuple[int, int] | None,
    curve: bool,
    offline: bool,
    wasm: Path | None,
) -> "Site":
    """The explorer that the options describe; `InputError` with `offline` where no copy of onnxruntime is at hand."""
    from ..errors import InputError  # noqa: PLC0415
    from ..explorer import VERSION, Site, find_wasm  # noqa: PLC0415 - numpy, only when a verb runs

    found = find_wasm(wasm)
    if found is None and offline:
        raise InputError(
            f"found no onnxruntime-web {VERSION} on this machine: expected its npm package, or --wasm FILE: "
            f"npm install onnxruntime-web@{VERSION}"
        )
    if found is None:
        click.echo(f"browsers will fetch onnxruntime-web {VERSION} from cdn.jsdelivr.net and check its SHA-256", err=True)
    return Site(bundle=bundle, table=table, image_shape=image_shape, curve=curve, wasm=found)


@click.command(epilog=examples("explore digits/ --image-shape 8x8", "explore digits/ --rows new.csv --label id --no-open"))
@click.argument("bundle", type=click.Path())
@click.option("--rows", type=click.Path(), metavar="FILE", help="Rows for the map. Default: those that the bundle carries.")
@click.option("--label", metavar="NAME", help="Column of --rows that is no feature, by which points are coloured.")
@look_options
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free port.")
@click.option("--open/--no-open", "browser", default=True, help="Open a browser. Default: yes.")
@click.option("--sha256", metavar="DIGEST", help="Digest that the bundle must have.")
def explore(  # noqa: PLR0913 (a command)
    *,
    bundle: str,
    rows: str | None,
    label: str | None,
    port: int,
    browser: bool,
    sha256: str | None,
    image_shape: tuple[int, int] | None,
    curve: bool,
    offline: bool,
    wasm: Path | None,
) -> None:
    """Explore the latents of BUNDLE in a browser.

    A page on 127.0.0.1 runs the bundle itself: rows do not leave this machine. Ends with Ctrl+C.
    """
    from ..bundle import read_bundle  # noqa: PLC0415 - msgspec, numpy, only when a verb runs
    from ..explorer import Served, read_table  # noqa: PLC0415

    if label is not None and rows is None:
        raise click.UsageError("--label names a column of --rows: pass both")
    found = read_bundle(bundle, sha256=sha256)
    table = None if rows is None else read_table(rows, found, label)
    site = make_site(found, table, image_shape=image_shape, curve=curve, offline=offline, wasm=wasm)
    with Served(site.files(), port) as served:
        click.echo(printable(f"{found.manifest.name} is at {served.address} until Ctrl+C"), err=True)
        if browser:
            click.launch(served.address)
        served.run()
