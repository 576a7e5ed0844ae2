"""The figures and the report of a run, as notebooks show them; and the temporary folder of a run without one."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from aaptvae.bundle.figures import FIGURES, measured

REPORT_HEIGHT = 640  # pixels of the frame in a notebook

Compared = dict[str, dict[str, float]]


def compare(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> Compared:
    """Each figure by key: its value under "model", and each value that it is compared with under that one's label."""
    table: Compared = {}
    for figure in FIGURES:
        if figure.key in metrics:
            others = {key: value for key, value in metrics.items() if key != figure.key} | dict(baseline)
            beside = {label: others[key] for label, key in figure.beside if key in others}
            table[figure.key] = {"model": metrics[figure.key]} | beside
    return table


def figures_html(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """The same as an HTML table."""
    rows = []
    for figure, value, others in measured(metrics, baseline):
        beside = ", ".join(f"{label} {other}" for label, other in others)
        rows.append(f"<tr><th>{escape(figure.label)}</th><td>{value}</td><td>{escape(beside)}</td></tr>")
    head = "<tr><th>Figure</th><th>This model</th><th>Compared with</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


@dataclass(frozen=True)
class RunReport:
    """The report of a run: a path for functions that take one; notebooks show the page."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        page = escape(self.path.read_text(encoding="utf-8"))  # in a frame, because the page has styles of its own
        return f'<iframe srcdoc="{page}" style="width: 100%; height: {REPORT_HEIGHT}px; border: 0"></iframe>'


class TemporaryFolder:
    """A folder that is removed with this object, or when the process that made it ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="aaptvae-run-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, maker: int) -> None:
    if os.getpid() == maker:  # a forked process holds a copy of the object
        shutil.rmtree(path, ignore_errors=True)
