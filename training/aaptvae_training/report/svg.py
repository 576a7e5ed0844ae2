"""Axes as inline SVG for an HTML page: text stays text, colours are the page's, and the same plot gives the same bytes."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .style import BASELINE, GAUSSIAN, HAIR, MODEL, ROWS

POINTS = 72  # SVG units in an inch of matplotlib's
LARGE, SMALL = (350, 245), (285, 200)
MARGINS = (50, 8, 8, 42)  # left, right, top, bottom
SOFT = "#667085"  # of text

# Colours of the drawing, and the variables of report.css that replace them.
VARIABLES = {MODEL: "model", BASELINE: "baseline", ROWS: "rows", GAUSSIAN: "gaussian", SOFT: "soft", HAIR: "hair"}

STYLE: dict[str, Any] = {
    "axes.edgecolor": ROWS,
    "axes.facecolor": "none",
    "axes.formatter.use_mathtext": False,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 11.5,
    "figure.facecolor": "none",
    "font.size": 11,
    "lines.linewidth": 1.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "aaptvae",
    "text.color": SOFT,
    "xtick.color": SOFT,
    "xtick.labelsize": 10.5,
    "ytick.color": SOFT,
    "ytick.labelsize": 10.5,
}


@dataclass(frozen=True)
class Drawing:
    """A plot as an SVG element, and its legend as HTML."""

    svg: str
    legend: str


@contextmanager
def page_style() -> Iterator[None]:
    """matplotlib's defaults with the page's style, whatever the caller's own settings are; they return on exit."""
    with style.context(["default", STYLE]):
        yield


def as_svg(plot: Callable[[Axes], object], name: str, words: str, size: tuple[int, int] = LARGE) -> Drawing:
    """Let `plot` draw on axes of `size` SVG units, under `page_style`; `name` begins every id, `words` describe the plot."""
    figure = Figure(figsize=(size[0] / POINTS, size[1] / POINTS))
    left, right, top, bottom = MARGINS
    width, height = size[0] - left - right, size[1] - top - bottom
    ax = figure.add_axes((left / size[0], bottom / size[1], width / size[0], height / size[1]))
    plot(ax)
    legend = keys(ax)
    if (drawn := ax.get_legend()) is not None:
        drawn.remove()
    if ax.images:
        _fill_figure(figure, ax)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Drawing(inline(file.getvalue(), name, words), legend)


def _fill_figure(figure: Figure, ax: Axes) -> None:
    """Pictures need no margins: the figure takes the shape of the picture."""
    rows, columns = np.asarray(ax.images[0].get_array()).shape
    figure.set_size_inches(7, 7 * rows / columns)
    ax.set_position((0, 0, 1, 1))
    ax.set(xlabel="", ylabel="")


def inline(text: str, name: str, words: str) -> str:
    """matplotlib's SVG file as an element of an HTML page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg[^>]*(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-label="{escape(words)}">', text, count=1)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text.replace("xlink:href=", "href="))
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    text = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", text)
    return re.sub(r"\s*\n\s*", " ", text).replace("> <", "><").strip()


def keys(ax: Axes) -> str:
    """The legend of axes as HTML."""
    entries = []
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        colour, mark = _look(handle)
        shown = f"var(--{VARIABLES[colour]})" if colour in VARIABLES else colour
        entries.append(f'<span class="key"><i class="{mark}" style="color: {shown}"></i>{escape(label)}</span>')
    return f'<div class="legend">{"".join(entries)}</div>' if entries else ""


def _look(handle: Any) -> tuple[str, str]:
    """Colour of an entry, and whether it is a line, dashes, dots or a bar."""
    if isinstance(handle, Line2D):
        return to_hex(handle.get_color()), "line" if handle.get_linestyle() in ("-", "None") else "dashes"
    if hasattr(handle, "get_offsets"):
        return to_hex(handle.get_facecolor()[0]), "dot"
    if hasattr(handle, "patches"):
        return to_hex(handle.patches[0].get_facecolor()), "line"
    return to_hex(handle.get_edgecolor()), "line"
