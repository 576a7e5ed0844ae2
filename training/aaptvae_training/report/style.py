"""Colours, and axes to draw on where the caller gives none.

Every colour is readable on a white and on a black page; report.css has a lighter variant of each for its dark page.
"""

import sys
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

MODEL, BASELINE, ROWS, GAUSSIAN = "#2563eb", "#d9730d", "#8a94a6", "#0f9d76"
HAIR = "#e4e7ec"  # of the grid
LOW, MIDDLE, HIGH = "#93a4bf", "#c98a2b", "#d03b3b"  # of a colour scale
GROUPS = (MODEL, BASELINE, GAUSSIAN, "#c2417c", "#8b5cf6", "#a16207", "#0891b2", "#65a30d", "#e11d48", ROWS)

SIZE = (5.3, 3.7)  # inches
SMALL = (3.4, 2.5)
TICKS = 6  # of an axis, about


def axes_or_new(ax: Axes | None, size: tuple[float, float] = SIZE) -> Axes:
    """`ax`, or axes of a new figure: pyplot's in a notebook, which shows it, else one that no global state holds."""
    if ax is not None:
        return ax
    if "ipykernel" in sys.modules:
        from matplotlib import pyplot  # noqa: PLC0415 - it chooses a backend when imported

        return pyplot.subplots(figsize=size, layout="constrained")[1]
    return Figure(figsize=size, layout="constrained").subplots()


def outline(ax: Axes, counts: Any, edges: Any, colour: str, label: str) -> None:
    """A histogram as a line around its bars."""
    ax.stairs(counts, edges, color=colour, linewidth=1.6, label=label)


def filled_histogram(ax: Axes, counts: Any, edges: Any, colour: str, label: str) -> None:
    """A histogram as a filled area with a line around it."""
    ax.stairs(counts, edges, fill=True, color=colour, alpha=0.3)
    ax.stairs(counts, edges, color=colour, linewidth=1.2, label=label)


def bins_for(rows: int, most: int) -> int:
    """How many bins a histogram of this many rows gets."""
    return int(min(most, max(8, 1.5 * rows**0.5)))


def logarithmic(ax: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5 times a power of ten, few of them, as plain numbers."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=TICKS))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def plain(ax: Axes, *whole: Axis) -> Axes:
    """Axes with few ticks and no box: a grid across, and a line below; ticks of the `whole` axes are integers."""
    for axis in (ax.xaxis, ax.yaxis):
        if isinstance(axis.get_major_locator(), AutoLocator):
            axis.set_major_locator(MaxNLocator(TICKS, steps=(1, 2, 5, 10), integer=axis in whole))
    ax.grid(axis="y", color=HAIR, linewidth=1.0)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)
    return ax
