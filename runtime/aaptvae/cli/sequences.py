"""`interpolate --times`: the rows of each sequence in a file, at other times."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import click
import numpy as np

from ..errors import InputError
from ..files import Batch, Layout
from ..interpolation import resample
from ..rows import Array, Nats, Rows
from ..vae import VAE
from .job.job import Job
from .job.model_input import ModelInput
from .job.stream import batch_rows, feature_names, refuse_same_file
from .options import load_vae

EPOCH = datetime(1970, 1, 1)
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(f"({NUMBER}):({NUMBER}):({NUMBER})")
MOST_TIMES = 10_000_000  # of one sequence

Column = np.ndarray[Any, np.dtype[np.object_]]


class Times(NamedTuple):
    """Wanted times: `number` equally spaced ones from the first to the last of a sequence, or the same for all."""

    number: int = 0
    values: Nats | None = None

    def of(self, times: Nats) -> Nats:
        """Those for a sequence at these `times` [N]."""
        return np.linspace(times[0], times[-1], self.number) if self.values is None else self.values


class Sequence(NamedTuple):
    """Rows of one group in order: latents [N, L] and conditions [N, C] at `times` [N]."""

    group: tuple[Any, ...]  # its value of the group column; empty without one
    z: Rows
    c: Rows | None
    times: Nats


@dataclass(frozen=True)
class Resampled:
    """A sequence and the times that are wanted of it."""

    sequence: Sequence
    at: Nats

    def __len__(self) -> int:
        return len(self.at)

    def cut(self, start: int, stop: int) -> "Resampled":
        """The wanted times from `start` to `stop`."""
        return Resampled(self.sequence, self.at[start:stop])


def parse_times(text: str) -> Times:
    """`25` or `START:STOP:STEP`; a usage error for other texts."""
    if text.isdecimal() and 2 <= int(text) <= MOST_TIMES:
        return Times(int(text))
    if found := RANGE.fullmatch(text):
        start, stop, step = map(float, found.groups())
        if step > 0 and stop >= start and (stop - start) / step < MOST_TIMES:
            return Times(values=start + step * np.arange(int((stop - start) / step + 1e-9) + 1.0))
    raise click.UsageError(f"--times is {text!r}: expected a number of times from 2 up, or START:STOP:STEP, such as 0:10:0.5")


def resample_rows(times: Times, group: str | None, order: str | None, output: str, options: dict[str, Any]) -> None:
    """Write the rows of each sequence of INPUT at other times, one sequence after the other.

    The latents of all rows are held in memory. Rows without a column `order` are at times 0, 1, 2, ... of their sequence.
    """
    refuse_same_file(options["input"], output)
    vae = load_vae(options)
    aside = [name for name in (group, order) if name]
    if group and group == order:
        raise InputError(f"--group and --order are both {group}: expected two columns: leave --order out for the order of rows")
    rows, columns = _latents(vae, aside, options)
    at, dates = _as_times(columns[order], order) if order else (None, None)
    groups = columns[group] if group else None
    unit = " seconds since 1970" if dates else ""
    parts = [Resampled(each, _wanted(times, each, unit)) for each in _sequences(rows, groups, at, order or "position")]

    def drawn(part: Resampled, _: int) -> tuple[Batch]:
        sequence = part.sequence
        z = resample(sequence.z, sequence.times, part.at, options["path"])
        c = None if sequence.c is None else resample(sequence.c, sequence.times, part.at)
        rows = vae.decode(z, condition=c)
        group_ids = [np.fromiter((value for _ in rows), object, len(rows)) for value in sequence.group]
        return (Batch(rows, (*group_ids, *([_as_given(part.at, dates)] if order else []))),)

    total, size, names = sum(map(len, parts)), batch_rows(vae), feature_names(vae) if aside else vae.columns or ()
    layout = Layout(width=vae.input_dim, rows=total, columns=names, ids=tuple(aside))
    job = Job(verb="interpolate", outputs=[(output, layout)], total=total, format=options["format"], force=options["force"])
    job.run(lambda _: (part.cut(start, start + size) for part in parts for start in range(0, len(part), size)), drawn)


def _latents(vae: VAE, aside: list[str], options: dict[str, Any]) -> tuple[tuple[Rows, Rows | None], dict[str, Column]]:
    """Posterior means [N, L] and conditions [N, C] of all rows of INPUT, and by name the columns `aside`, each [N]."""
    source, parts, first = ModelInput(vae, options, ids=tuple(aside)), [], 0
    with source.reader as reader:
        for batch in reader.labelled(batch_rows(vae)):
            parts.append((*source.computed(VAE.embed, batch, first), batch.ids))
            first += len(batch)
    if not parts:
        raise InputError(f"{options['input']} has no rows: a sequence needs 2 rows at least")
    z, given_rows, ids = zip(*parts, strict=True)
    held = [np.concatenate(column) for column in zip(*ids, strict=True)]
    c = np.concatenate(given_rows) if vae.conditions else None
    return (np.concatenate(z), c), dict(zip(reader.ids, held, strict=True))


def _sequences(found: tuple[Rows, Rows | None], groups: Column | None, at: Nats | None, order: str) -> Iterator[Sequence]:
    """Latents and conditions of each group, in order of first appearance, sorted by time."""
    z, c = found
    members: dict[Any, list[int]] = {}
    for row in range(len(z)):
        members.setdefault(None if groups is None else groups[row], []).append(row)
    for group, rows in members.items():
        times = np.arange(float(len(rows))) if at is None else at[rows]
        ranked = np.argsort(times, kind="stable")
        index, times = np.array(rows)[ranked], times[ranked]
        label = () if groups is None else (group,)
        named = f" of sequence {group}" if label else ""
        if len(index) < 2:
            raise InputError(f"row {index[0]} is the only one{named}: interpolation needs 2 rows at least: leave it out")
        if len(equal := np.flatnonzero(np.diff(times) == 0)):
            pair = sorted(index[equal[0] : equal[0] + 2])
            raise InputError(
                f"rows {pair[0]} and {pair[1]}{named} have the same {order}: expected different ones: leave one out"
            )
        yield Sequence(label, z[index], None if c is None else c[index], times)


def _wanted(times: Times, sequence: Sequence, unit: str) -> Nats:
    """Wanted times of one sequence; `InputError` that names it for times outside of its own."""
    at, named = times.of(sequence.times), f"sequence {sequence.group[0]}" if sequence.group else "the sequence"
    first, last = sequence.times[0], sequence.times[-1]
    if at[0] < first or at[-1] > last:
        raise InputError(
            f"--times go from {at[0]:g} to {at[-1]:g}, {named} from {first:.12g} to {last:.12g}{unit}: there is no "
            "extrapolation: give times within, or a number of times"
        )
    return at


def _as_times(column: Column, name: str) -> tuple[Nats, datetime | None]:
    """A column of numbers or dates as float64; for dates these are seconds since the second result, 1970.

    If one date has a time zone, those without are in UTC, as the results are.
    """
    dates = [date for value in column if (date := _as_date(value)) is not None]
    if len(dates) == len(column):
        begin = EPOCH
        if any(date.tzinfo for date in dates):
            begin, dates = EPOCH.replace(tzinfo=UTC), [date if date.tzinfo else date.replace(tzinfo=UTC) for date in dates]
        return np.array([(date - begin) / timedelta(seconds=1) for date in dates]), begin
    values = np.empty(len(column))
    for row, value in enumerate(column):
        try:
            values[row] = float(value)
        except (TypeError, ValueError):
            values[row] = np.nan
        if not np.isfinite(values[row]):
            raise InputError(f"{name} of row {row} is {value!r}: expected a finite number or a date in the column of --order")
    return values, None


def _as_date(value: Any) -> datetime | None:
    """A date or a time stamp, also as text in ISO form; None for other values."""
    if isinstance(value, str) and not re.fullmatch(NUMBER, value.strip()):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value
    return datetime(value.year, value.month, value.day) if isinstance(value, date) else None


def _as_given(moments: Nats, begin: datetime | None) -> Array:
    """Times [M] as numbers, or as dates, from `begin` on, where the column of --order holds dates."""
    values = moments.tolist() if begin is None else [begin + timedelta(seconds=float(value)) for value in moments]
    return np.fromiter(values, object, len(values))
