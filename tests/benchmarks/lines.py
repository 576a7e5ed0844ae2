"""One line of the result: a figure of ours beside another one, and what is wanted; as markdown or as plain values."""

from collections.abc import Iterable
from dataclasses import dataclass

from racing import Times


@dataclass(frozen=True)
class Line:
    """`ratio` is how many times faster ours is, `best` the same of the best rounds, `cpu` of processor time; `wanted` a bar."""

    comparison: str
    ours: str
    other: str
    ratio: float | None = None
    best: float | None = None
    cpu: float | None = None
    wanted: str = ""


def compare(comparison: str, ours: Times, other: Times, wanted: str = "", rows: int = 0) -> Line:
    """A line of two rivals of one race: rows per second if `rows` is given, time of a call if not."""
    texts = [f"{rows / t.median:,.0f} rows/s" if rows else duration(t.median) for t in (ours, other)]
    ratios = ours.times_faster_than(other), ours.best_faster_than(other), ours.cheaper_than(other)
    return Line(comparison, *texts, *ratios, wanted)


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.1f} us"


def markdown(lines: Iterable[Line]) -> str:
    """The lines as a Markdown table."""
    rows = [("comparison", "aaptvae", "the other", "ratio", "of best", "of CPU time", "wanted")]
    rows += [
        (line.comparison, line.ours, line.other, _factor(line.ratio), _factor(line.best), _factor(line.cpu), line.wanted)
        for line in lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def _factor(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
