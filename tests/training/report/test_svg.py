"""SVG of a page: deterministic, in the page's colours, with the legend as HTML."""

import re

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from aaptvae_training.report.style import BASELINE, MODEL, ROWS
from aaptvae_training.report.svg import as_svg, page_style


def several(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], color=MODEL, label="a < b")
    ax.axhline(0.5, color=BASELINE, linestyle="--", label="level")
    ax.scatter([0.5], [0.5], color="#123456", label="points")
    ax.stairs([1, 2], [0, 1, 2], color=ROWS, label="steps")
    ax.set_xlabel("x & y")


def test_a_legend_has_every_mark_in_its_colour() -> None:
    with page_style():
        legend = as_svg(several, "one", "several").legend
    found = re.findall(r'<i class="(\w+)" style="color: ([^"]+)"></i>([^<]+)<', legend)
    assert found == [
        ("line", "var(--model)", "a &lt; b"),
        ("dashes", "var(--baseline)", "level"),
        ("dot", "#123456", "points"),
        ("line", "var(--rows)", "steps"),
    ]


def test_a_drawing_fixes_no_colour_or_size() -> None:
    with page_style():
        svg = as_svg(several, "one", "several").svg
    assert MODEL not in svg and "var(--model)" in svg
    assert svg.startswith('<svg viewBox="0 0 350 245" role="img" aria-label="several">')
    assert "x &amp; y" in svg and "font-family" not in svg and "http" not in svg


def test_a_user_s_settings_change_nothing_and_return() -> None:
    with page_style():
        plain = as_svg(several, "one", "several")
    with mpl.rc_context({"lines.linewidth": 9.0, "axes.facecolor": "#ff0000", "svg.fonttype": "path"}):
        with page_style():
            assert as_svg(several, "one", "several") == plain
        assert mpl.rcParams["lines.linewidth"] == 9.0


def test_pictures_fill_their_drawing() -> None:
    with page_style():
        svg = as_svg(lambda ax: ax.imshow(np.eye(4), interpolation="none"), "one", "picture").svg
    assert 'viewBox="0 0 504 504"' in svg and "data:image/png;base64," in svg
