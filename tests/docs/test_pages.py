"""The pages of the documentation: examples run, links resolve. `make check` compares the generated parts.

Blocks of one page run in order, in one folder that contains `artifacts/`. The first word after the language says which blocks
run: ```python and ```sh run need the runtime only, ```python train and ```sh train need torch, ```python sklearn needs
torch, scikit-learn, pandas and Polars, ```sh serve needs the extra serve and curl; programs of docs/recipes.md run in
tests/engines; all others do not run.
"""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "artifacts/README.md"]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(r"^```([^\n]+)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
GENERATED = re.compile(r"\[\[\[cog.*?\[\[\[end\]\]\]", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
README_LINES = 200
SHORTER = ("aaptvae train ", "aaptvae train --epochs 2 ")  # what the pages show takes a minute

with_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
with_sklearn = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "sklearn", "pandas", "polars")),
    reason="needs torch, scikit-learn, pandas and Polars",
)
with_serve = pytest.mark.skipif(
    shutil.which("curl") is None or any(importlib.util.find_spec(name) is None for name in ("httptools", "uvloop")),
    reason="needs curl and the extra serve",
)
EXAMPLES = {
    "python": (),
    "sh run": (),
    "sh serve": (with_serve,),
    "python train": (with_torch, pytest.mark.slow),
    "sh train": (with_torch, pytest.mark.slow),
    "python sklearn": (with_torch, with_sklearn, pytest.mark.slow),
}


def blocks(page: Path, kind: str) -> list[tuple[str, str]]:
    """Code and shown output of every block of this kind."""
    return [(code, output) for info, code, output in BLOCK.findall(page.read_text()) if info == kind]


def examples() -> Iterator[object]:
    """Every page with every kind of block that it contains."""
    for page in PAGES:
        for kind, marks in EXAMPLES.items():
            if blocks(page, kind):
                yield pytest.param(page, kind, marks=marks, id=f"{page.name}-{kind.replace(' ', '-')}")


def decimals_cut(text: str) -> list[str]:
    """Lines with one decimal of each number: another processor may differ in the last one."""
    return [re.sub(r"(\d+\.\d)\d*", r"\1", line).strip() for line in text.strip().splitlines()]


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(("page", "kind"), [*examples()])
def test_examples_run_and_print_what_they_show(page: Path, kind: str, tmp_path: Path) -> None:
    (tmp_path / "artifacts").symlink_to(ROOT / "artifacts")
    code = "\n".join(code for code, _ in blocks(page, kind))
    if kind == "sh serve":
        code = "trap 'kill $!; wait' EXIT\n" + code.replace("8000", str(free_port()))
    run = [sys.executable, "-W", "error", "-c", code] if kind.startswith("python") else ["sh", "-ec", code.replace(*SHORTER)]
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    result = subprocess.run(run, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    if kind == "python":
        assert decimals_cut(result.stdout) == decimals_cut("".join(output for _, output in blocks(page, kind)))


def test_pages_have_examples_of_every_kind() -> None:
    assert all(any(blocks(page, kind) for page in PAGES) for kind in EXAMPLES)


def headings(page: Path) -> set[str]:
    """Anchors of a page, made as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(BLOCK, "", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in LINK.findall(re.sub(BLOCK, "", page.read_text())):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_page_installs_from_an_index(page: Path) -> None:
    written = re.sub(GENERATED, "", page.read_text())
    assert not re.search(r"pip install (-\S+ )*[\"']?aaptvae", written)
    assert "TODO" not in written


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text()
    assert all(f"({page.name})" in index for page in (ROOT / "docs").glob("*.md") if page.name != "index.md")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < README_LINES
