"""The notebooks of the documentation run from the first cell to the last, and are kept without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))

# The value of a cell's last line is shown, as a notebook does it: by its HTML where it has one.
CELLS = """
import ast, json, sys
scope = {}
for source in json.loads(sys.stdin.read()):
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), scope)
    if last is not None:
        shown = eval(compile(ast.Expression(last.value), "cell", "eval"), scope)
        text = shown._repr_html_() if hasattr(shown, "_repr_html_") else repr(shown)
        print(len(text))
"""


def cells(notebook: Path) -> list[dict[str, object]]:
    """The code cells of a notebook."""
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(notebook, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("pandas", reason="needs pandas")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CELLS],
        input=json.dumps(["".join(cell["source"]) for cell in cells(notebook)]),
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_not_committed(notebook):
    assert cells(notebook)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(notebook))
