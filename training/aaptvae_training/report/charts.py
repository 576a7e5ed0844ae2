"""Small charts as inline SVG, and grey pictures as PNG: text in, text out, no library and no network.

Colours are the page's own (`--a`, `--b`, ... in its style sheet), so a chart follows the page from light to dark.
"""

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]

LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 38
TICKS = 5


@dataclass(frozen=True)
class Line:
    """A curve through points; those that are not finite are left out."""

    label: str
    tone: str
    x: Values
    y: Values
    dashed: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line across the chart."""

    label: str
    tone: str
    y: float


@dataclass(frozen=True)
class Bars:
    """Bars between edges [K + 1] with heights [K]."""

    label: str
    tone: str
    edges: Values
    heights: Values


@dataclass(frozen=True)
class Band:
    """Vertical strokes from low to high at x [K]."""

    label: str
    tone: str
    x: Values
    low: Values
    high: Values


Mark = Line | Level | Bars | Band


@dataclass(frozen=True)
class Frame:
    """Where data lie on the picture: ranges in data units, size in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int

    def across(self, x: float) -> float:
        """Pixels from the left."""
        low, high = self.x
        return LEFT + (x - low) / (high - low) * (self.width - LEFT - RIGHT)

    def down(self, y: float) -> float:
        """Pixels from the top."""
        low, high = self.y
        return self.height - BOTTOM - (y - low) / (high - low) * (self.height - TOP - BOTTOM)

    def points(self, x: Values, y: Values) -> str:
        """An SVG path through the finite points."""
        kept = [(self.across(float(a)), self.down(float(b))) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
        return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in kept) if kept else ""


def chart(
    marks: Sequence[Mark],
    x_label: str,
    y_label: str = "",
    *,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    size: tuple[int, int] = (640, 300),
) -> str:
    """An SVG of these marks over one pair of axes, with its legend; ranges come from the marks unless given."""
    extents = [_extent(mark) for mark in marks]
    frame = Frame(x or _range([along for along, _ in extents]), y or _range([up for _, up in extents], 0.05), *size)
    body = "".join(_draw(mark, frame) for mark in marks)
    clip = f"c{zlib.crc32((body + x_label + y_label).encode()):08x}"
    inside = (
        f'<clipPath id="{clip}"><rect x="{LEFT}" y="{TOP - 2}" width="{size[0] - LEFT - RIGHT}" '
        f'height="{size[1] - TOP - BOTTOM + 4}"/></clipPath><g clip-path="url(#{clip})">{body}</g>'
    )
    words = escape(f"{y_label} against {x_label}" if y_label else x_label)
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{words}">'
        f"{_axes(frame, x_label, y_label)}{inside}</svg>{legend(marks)}"
    )


def legend(marks: Sequence[Mark]) -> str:
    """The labels of marks beside their colours."""
    named = [mark for mark in marks if mark.label]
    rows = [
        f'<span class="key"><i class="{"dash " if _dashed(mark) else ""}{mark.tone}"></i>{escape(mark.label)}</span>'
        for mark in named
    ]
    return f'<div class="legend">{"".join(rows)}</div>' if rows else ""


def _dashed(mark: Mark) -> bool:
    return isinstance(mark, Level) or (isinstance(mark, Line) and mark.dashed)


def _extent(mark: Mark) -> tuple[Values, Values]:
    """The data that a mark must show, along both axes."""
    match mark:
        case Line():
            return mark.x, mark.y
        case Level():
            return np.empty(0), np.array([mark.y])
        case Bars():
            return mark.edges, np.append(mark.heights, 0.0)
        case Band():
            return mark.x, np.concatenate([mark.low, mark.high])


def _range(parts: Sequence[Values], margin: float = 0.0) -> tuple[float, float]:
    """Smallest and largest finite value, never equal."""
    values = np.concatenate([np.empty(0), *parts])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) if high > low else max(0.5, 0.1 * abs(high))
    # Bars stand on zero: no room below it.
    return (low if low == 0 and margin and high > low else low - room), high + room


def _draw(mark: Mark, frame: Frame) -> str:
    match mark:
        case Line():
            dash = " dash" if mark.dashed else ""
            return f'<path class="line {mark.tone}{dash}" d="{frame.points(mark.x, mark.y)}"/>'
        case Level():
            y = frame.down(mark.y)
            return f'<path class="line {mark.tone} dash" d="M{LEFT},{y:.1f}H{frame.width - RIGHT}"/>'
        case Bars():
            return _bars(mark, frame)
        case Band():
            strokes = "".join(
                f"M{frame.across(float(x)):.1f},{frame.down(float(low)):.1f}V{frame.down(float(high)):.1f}"
                for x, low, high in zip(mark.x, mark.low, mark.high, strict=True)
            )
            width = min(6.0, 0.6 * (frame.width - LEFT - RIGHT) / max(1, len(mark.x)))
            return f'<path class="band {mark.tone}" stroke-width="{width:.1f}" d="{strokes}"/>'


def _bars(mark: Bars, frame: Frame) -> str:
    floor = frame.down(max(0.0, frame.y[0]))
    outline = [f"M{frame.across(float(mark.edges[0])):.1f},{floor:.1f}"]
    for right, height in zip(mark.edges[1:], mark.heights, strict=True):
        outline.append(f"V{frame.down(float(height)):.1f}H{frame.across(float(right)):.1f}")
    return f'<path class="bars {mark.tone}" d="{"".join(outline)}V{floor:.1f}Z"/>'


def _axes(frame: Frame, x_label: str, y_label: str) -> str:
    """Grid, numbers and words."""
    bottom, right = frame.height - BOTTOM, frame.width - RIGHT
    parts = []
    for value in ticks(*frame.y):
        y = frame.down(value)
        parts.append(f'<path class="grid" d="M{LEFT},{y:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{number(value)}</text>')
    for value in ticks(*frame.x):
        x = frame.across(value)
        parts.append(f'<path class="tick" d="M{x:.1f},{bottom}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{number(value)}</text>')
    parts.append(f'<path class="tick" d="M{LEFT},{bottom}H{right}"/>')
    middle, centre = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{frame.height - 5}" text-anchor="middle">{escape(x_label)}</text>')
    if y_label:
        turn = f'transform="translate(12 {centre:.0f}) rotate(-90)"'
        parts.append(f'<text class="axis" {turn} text-anchor="middle">{escape(y_label)}</text>')
    return "".join(parts)


def ticks(low: float, high: float) -> list[float]:
    """A few round numbers from low to high."""
    raw = (high - low) / TICKS
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= 0.999 * raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * index for index in range(first, last + 1)]


def number(value: float) -> str:
    """A number as short as a tick wants it."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return (f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}").replace("-", "\N{MINUS SIGN}")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A grey picture [height, width], 0 black and 255 white, as a PNG file."""
    height, width = pixels.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter, 0
    lines[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tiles(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Pictures [N, height, width] in one, `columns` beside each other with a white seam, rows filled up with white."""
    count, height, width = images.shape
    rows = -(-count // columns)
    wall = np.full((rows * columns, height + 1, width + 1), 255, np.uint8)
    wall[:count, :-1, :-1] = images
    grid = wall.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return grid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]


def picture(pixels: NDArray[np.uint8], words: str) -> str:
    """An <img> that carries its own pixels."""
    data = base64.b64encode(png(pixels)).decode()
    height, width = pixels.shape
    return f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{escape(words)}">'
