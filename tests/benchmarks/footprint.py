"""Size and number of the packages that installing aaptvae puts into an empty folder. Needs a package index."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import children
from lines import Line

ROOT = Path(__file__).parents[2]
MOST = 160


def lines() -> Iterator[Line]:
    """Size of the folder and the names in it."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = ROOT / "constraints.txt"
        children.run(children.PYTHON, "-m", "pip", "install", "-q", "-c", constraints, "--no-compile", "--target", folder, ROOT)
        size = sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())
        found = sorted(path.name.removesuffix(".dist-info") for path in Path(folder).glob("*.dist-info"))
    yield Line("installed: aaptvae and all it needs", f"{size / 1e6:.0f} MB", "", wanted=f"under {MOST} MB")
    yield Line("installed packages", ", ".join(found), "")
