"""Columns matched by name: one rule for arrays in memory, files, shards, training and the command line."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from ..errors import InputError

SHOWN = 8  # names in a message
LONGEST = 1000  # characters of a name that is stored
BESIDE = "drop them, or name them in vae.features(x, passthrough=[...])"


class Unnamed(tuple[str, ...]):
    """The names of a model without names: columns called by their positions, behind one of these prefixes."""


UNNAMED = Unnamed(("", "x"))  # 0, 1, ... in pandas; x0, x1, ... in our outputs
LATENTS = Unnamed(("z",))


def listed(names: Sequence[object], longest: int = 60) -> str:
    """The first names, each up to `longest` characters, and how many more there are."""
    shown = ", ".join(str(name)[:longest] for name in names[:SHOWN])
    return shown + f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)


def as_names(given: Sequence[object]) -> tuple[str, ...]:
    """Names of columns as text; one name stands for itself."""
    return (given,) if isinstance(given, str) else tuple(map(str, given))


def check_names(names: Sequence[str], name: str) -> tuple[str, ...]:
    """`names` as a tuple; `InputError` if one is there twice."""
    twice = [key for key, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{name} has columns of equal name ({listed(twice)}): expected each once: rename or drop them")
    return tuple(names)


def each_once(names: Sequence[str], option: str) -> None:
    """`InputError` if an option names a column twice."""
    if twice := [key for key, count in Counter(names).items() if count > 1]:
        raise InputError(f"{option} has {listed(twice)} more than once: expected each column once: name it once")


def check_length(names: Sequence[str], name: str) -> None:
    """`InputError` for a name that no run and no bundle can hold: over `LONGEST` characters, or half a surrogate pair."""
    for key in names:
        if len(key) > LONGEST or (not key.isascii() and key != key.encode(errors="ignore").decode()):
            shown = repr(key[:40])
            raise InputError(
                f"{name} has a name of {len(key)} characters, {shown}: expected Unicode text of at most {LONGEST}: rename it"
            )


def latent_names(width: int) -> tuple[str, ...]:
    """z0, z1, ..."""
    return tuple(f"z{index}" for index in range(width))


def in_usual_order(names: Sequence[str], prefixes: Sequence[str]) -> tuple[str, ...] | None:
    """`names` in the order of their positions, if they are 0, 1, 2, ... behind one of `prefixes` in any order."""
    for prefix in prefixes:
        usual = tuple(f"{prefix}{index}" for index in range(len(names)))
        if names and set(names) == set(usual):
            return usual
    return None


def order_for(names: Sequence[str], columns: Sequence[str] | None, name: str) -> list[int] | None:
    """Positions in a table with columns `names` of those of a model, whose `columns` may have no names; None for their order.

    Names that are positions stand for columns without names. `InputError` as in `match_columns`.
    """
    if columns is None:
        return match_columns(names, in_usual_order(names, UNNAMED), name)
    unnamed = in_usual_order(names, ("",)) is not None and set(names) != set(columns)
    return None if unnamed else match_columns(names, columns, name)


def left_out_of(names: Sequence[str], chosen: Sequence[str], passthrough: Sequence[str], name: str) -> tuple[str, ...]:
    """The columns that are no features: all but `chosen`, else those in `passthrough`.

    `InputError` names every one that is not there, those in both, and those that are chosen twice.
    """
    each_once(chosen, "columns")
    if absent := [key for key in (*chosen, *passthrough) if key not in names]:
        raise InputError(f"{name} has no column {listed(absent)}: its columns are {listed(names)}: check the spelling")
    if both := [key for key in chosen if key in passthrough]:
        raise InputError(f"{name}: {listed(both)} is named as a feature and to be left out: name each column once")
    return tuple(key for key in names if key not in chosen) if chosen else tuple(passthrough)


def match_columns(
    names: Sequence[str] | None,
    expected: Sequence[str] | None,
    name: str = "x",
    passthrough: Sequence[str] = (),
    remedy: str = BESIDE,
) -> list[int] | None:
    """Positions of the columns `expected` in a table with columns `names`; None if all are taken in their order.

    Names in `passthrough` are left out. Without `names` or `expected`, columns keep their order. `InputError` names every
    column that is missing, unknown or there twice; `remedy` says how unknown ones are left out.
    """
    if names is None or (expected is None and not passthrough):
        return None
    check_names(names, name)
    rest = [key for key in names if key not in set(passthrough)]
    if expected is not None and rest != list(expected):
        _refuse(rest, expected, name, remedy, [key for key in names if key in set(passthrough)])
        rest = list(expected)
    if rest == list(names):
        return None
    place = {key: position for position, key in enumerate(names)}
    return [place[key] for key in rest]


def _refuse(names: Sequence[str], expected: Sequence[str], name: str, remedy: str, left_out: Sequence[str]) -> None:
    """`InputError` unless both hold the same names, in any order; it says which of the expected ones are left out."""
    known, held = set(expected), set(names)
    missing = [key for key in expected if key not in held]
    unknown = [key for key in names if key not in known]
    if features := [key for key in missing if key in left_out]:
        raise InputError(
            f"{name}: the choice of columns leaves out {_count(features)} {listed(features)}: expected {listed(expected)}, the "
            "features of the model: keep all of them, and name other columns as those that are no features"
        )
    if missing:
        beside = f" (and has others: {listed(unknown)}{_nearly(missing, unknown)})" if unknown else ""
        raise InputError(
            f"{name} lacks {_count(missing)} {listed(missing)}{beside}: expected {listed(expected)}: "
            "pass the columns that the model was trained on"
        )
    if unknown:
        raise InputError(
            f"{name} has {_count(unknown)} {listed(unknown)}, unknown to the model: expected {listed(expected)}: " + remedy
        )


def _nearly(missing: Sequence[str], unknown: Sequence[str]) -> str:
    """A hint about names that differ only in case, in spaces or in the Unicode form of a letter."""
    same = {_folded(key) for key in missing} & {_folded(key) for key in unknown}
    return ": names differ in case, spaces or Unicode form" if same else ""


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _count(names: Sequence[str]) -> str:
    return "the column" if len(names) == 1 else f"{len(names)} columns:"
