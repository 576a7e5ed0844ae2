"""The flags of `aaptvae train`, one for each option of a training."""

import csv
import functools
import types
import typing
from collections.abc import Callable
from itertools import chain
from typing import Annotated, Any, Literal, get_args, get_origin

import click
import msgspec

from aaptvae.errors import InputError

from .config import ColumnName, Noise, TrainConfig, make_config


class _SigmaType(click.ParamType):  # type: ignore[type-arg] # older clicks know no arguments here
    """The name of a rule, or a number."""

    name = "|".join((*get_args(Noise), "NUMBER"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`value` as a float, or the name of a rule; the configuration checks the range."""
        try:
            return value if value in get_args(Noise) else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor one of {', '.join(get_args(Noise))}", param, ctx)


class _NamesType(click.ParamType):  # type: ignore[type-arg]
    """Names of columns between commas; a name with a comma stands in double quotes."""

    name = "A,B,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The names in `value`."""
        return list(next(csv.reader([value]), []))


@functools.cache
def config_flags() -> tuple[click.Option, ...]:
    """One flag for every field of `TrainConfig`, with the description of the field as its help."""
    hints, flags = typing.get_type_hints(TrainConfig, include_extras=True), []
    for field in msgspec.structs.fields(TrainConfig):
        flag = "--" + field.name.replace("_", "-")
        text, kind, multiple = _describe(hints[field.name])
        if kind is bool:
            flag = f"{flag}/--no-{flag[2:]}"
        if field.default is not None and "[default" not in text:
            shown = (field.default or ["none"])[0] if multiple else field.default
            text += f" [default: {shown}]"
        default = () if multiple else None  # not that of the field: a flag that is not given must not override the file
        check = _checked(field.name, multiple)
        names = [flag, field.name]
        flags.append(click.Option(names, type=kind, multiple=multiple, default=default, help=text, callback=check))
    return tuple(flags)


def _checked(name: str, multiple: bool) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that refuses a value as wrong usage if the configuration refuses it."""

    def check(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        value = [*chain(*(part if isinstance(part, list) else [part] for part in value))] if multiple else value
        if value not in (None, []):
            try:
                make_config({name: value})
            except InputError as error:
                raise click.BadParameter(str(error).removeprefix("the options: ").partition("; ")[0], ctx, param) from None
        return value

    return check


def _describe(hint: Any) -> tuple[str, Any, bool]:
    """Help text, click type and whether the flag may be repeated, of an annotated field."""
    meta = [part for part in hint.__metadata__ if isinstance(part, msgspec.Meta) and part.description]
    inner = hint.__origin__
    while get_origin(inner) is Annotated:
        inner = inner.__origin__
    return meta[-1].description or "", *_click_type(inner)


def _click_type(inner: Any) -> tuple[Any, bool]:
    if get_origin(inner) is Literal:
        return click.Choice(get_args(inner)), False
    if get_origin(inner) is tuple:
        return (_NamesType() if get_args(inner)[0] is ColumnName else int), True
    if isinstance(inner, types.UnionType) or get_origin(inner) is typing.Union:
        parts = [part for part in get_args(inner) if part is not type(None)]
        if str in (getattr(part, "__origin__", part) for part in parts):
            return str, False
        return (_SigmaType(), False) if len(parts) > 1 else _click_type(getattr(parts[0], "__origin__", parts[0]))
    return inner, False
