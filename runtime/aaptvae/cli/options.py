"""Options that several verbs share, and the bundle that they load."""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..vae import VAE

Command = Callable[..., Any]
WRITABLE = ("npy", "npz", "csv", "jsonl", "parquet", "arrow")  # as in aaptvae.files, which imports numpy
FORMATS = (*WRITABLE, "safetensors")
PRECISIONS = ("fp32", "int8", "fp16")  # as in aaptvae.bundle, which imports msgspec


def together(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator."""
    return lambda command: functools.reduce(lambda made, add: add(made), reversed(decorators), command)


def with_formats(command: Command) -> Command:
    """`command` with the suffixes of feature files in place of {formats} in its docstring."""
    command.__doc__ = command.__doc__ and command.__doc__.replace("{formats}", f".{' .'.join(FORMATS)}")
    return command


def examples(*lines: str) -> str:
    """An epilog of example lines, each as it is typed."""
    return "\b\nExamples:\n" + "\n".join(f"  aaptvae {line}" for line in lines)


bundle_options = together(
    click.argument("bundle", type=click.Path()),
    click.option("--precision", default="fp32", show_default=True, type=click.Choice(PRECISIONS)),
    click.option("--provider", "providers", multiple=True, metavar="NAME", help="onnxruntime provider; repeatable."),
    click.option("--threads", type=click.IntRange(1), help="Default: the CPUs that this process may use."),
    click.option("--batch-size", type=click.IntRange(1), help="Rows per call. Default: as many as fit the CPU cache."),
    click.option("--sha256", metavar="DIGEST", help="Digest that the bundle must have; see aaptvae info --digest."),
)
format_option = click.option("--format", type=click.Choice(WRITABLE), help="Format of - or of a file without suffix.")
force_option = click.option("--force", is_flag=True, help="Replace an existing output.")
resume_option = click.option("--resume", is_flag=True, help="If interrupted, keep finished rows; continue after kept rows.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
output_options = together(format_option, force_option, resume_option)


def output_option(required: bool = True) -> Callable[[Command], Command]:
    """-o OUTPUT."""
    return click.option(
        "-o",
        "--output",
        required=required,
        type=click.Path(),
        metavar="OUTPUT",
        help="File to write, whose suffix is one of --format, or - for stdout.",
    )


input_argument = click.argument("input", type=click.Path())


def _character(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    value = {"\\t": "\t", "tab": "\t"}.get(value or "", value)
    if value is not None and (len(value) != 1 or value in '"\r\n' or value.isalnum()):
        raise click.BadParameter(f"{value!r} is not one character between values, such as ; or tab")
    return value


def _names(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names between commas, also of a repeated option; a name with a comma stands in double quotes."""
    import csv  # noqa: PLC0415 - only where a command reads a file

    return tuple(name for line in csv.reader(values) for name in line)


def _names_option(flag: str, text: str) -> Callable[[Command], Command]:
    return click.option(flag, multiple=True, metavar="A,B,...", callback=_names, help=text)


columns_options = together(
    _names_option("--columns", "Columns that are features, by name. Default: all but those of --drop and --id."),
    _names_option("--drop", "Columns that are left out."),
    click.option(
        "--header/--no-header", default=None, help="csv: the first line holds names or not. Default: found from its content."
    ),
    click.option(
        "--delimiter", metavar="CHARACTER", callback=_character, help="csv: character between values. Default: found in line 1."
    ),
    click.option("--decimal", type=click.Choice([".", ","]), help="csv: decimal mark. Default: found in the first lines."),
)


def _conditions(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE as a mapping."""
    parts = [value.partition("=") for value in values]
    if wrong := [name for name, equals, _ in parts if not (name and equals)]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE, such as kind=a")
    names = [name for name, _, _ in parts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise click.BadParameter(f"{twice[0]} is given {names.count(twice[0])} times: expected one value for all rows")
    return {name: value for name, _, value in parts}


def _shape(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """8x16 as (8, 16)."""
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text or "")
    if text is not None and found is None:
        raise click.BadParameter(f"{text!r} is no HEIGHTxWIDTH, such as 8x8.")
    return found and (int(found[1]), int(found[2]))


def image_shape_option(text: str) -> Callable[[Command], Command]:
    """--image-shape HxW."""
    return click.option("--image-shape", metavar="HxW", callback=_shape, help=text)


def _condition_option(text: str) -> Callable[[Command], Command]:
    return click.option("--condition", "condition", multiple=True, metavar="NAME=VALUE", callback=_conditions, help=text)


condition_option = _condition_option("A condition of all rows, of a model that takes it; repeatable.")
id_option = _names_option("--id", "Columns that are copied to the output, before the results.")
row_ids_option = _names_option("--id", "Columns of --rows that are no features and name its rows.")
web_rows_options = together(
    click.option("--label", metavar="NAME", help="Column of --web-rows FILE that is no feature, by which points are coloured."),
    columns_options,
    _names_option("--id", "Columns of --web-rows FILE that are no features and name its rows."),
    _condition_option("A condition of all rows of --web-rows FILE, of a model that takes it; repeatable."),
)
training_columns_options = together(columns_options, _names_option("--id", "Columns that name rows: no features, like --drop."))
rows_condition_option = _condition_option("A condition of all rows; repeatable. Default: the column of this name in INPUT.")
input_options = together(
    input_argument,
    columns_options,
    id_option,
    rows_condition_option,
    click.option(
        "--on-bad-row",
        default="error",
        show_default=True,
        type=click.Choice(["error", "skip"]),
        help="skip: leave out rows without finite numbers, known conditions or finite results; list them, exit with 1.",
    ),
)


def reading_of(options: dict[str, Any]) -> dict[str, Any]:
    """Fields of `aaptvae.files.Reading` that the options of a command give."""
    given = {"columns": options["columns"], "drop": options["drop"], "ids": options.get("id", ())}
    return given | {key: options[key] for key in ("header", "delimiter", "decimal")}


def tell(notes: tuple[str, ...]) -> None:
    """Show on stderr how a file is read, where its content decided it."""
    for note in notes:
        click.echo(printable(note), err=True)


def printable(text: str) -> str:
    """`text` on one line without control characters, which untrusted file names could send to a terminal."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def load_vae(options: dict[str, Any]) -> "VAE":
    """The VAE that the bundle options describe."""
    from ..vae import load  # noqa: PLC0415 - numpy and onnxruntime, only when a verb runs

    chosen = {key: options[key] for key in ("precision", "threads", "batch_size", "sha256")}
    return load(options["bundle"], providers=list(options["providers"]) or None, **chosen)


def load_for_workers(options: dict[str, Any]) -> tuple["VAE", int]:
    """The VAE with one thread, and how many workers may call it at once (one, for providers other than the CPU)."""
    from ..engine import usable_cpus  # noqa: PLC0415

    if set(options["providers"]) - {"CPUExecutionProvider"}:
        return load_vae(options), 1
    return load_vae(options | {"threads": 1}), options["threads"] or usable_cpus()
