"""How notebooks show a run: its figures as a table, and its report in a frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from aaptvae.bundle.figures import measured

REPORT_HEIGHT = 640  # pixels of the frame in a notebook


def figures_html(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """Each figure beside what it is compared with, as an HTML table."""
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
