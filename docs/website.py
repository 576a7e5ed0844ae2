"""`make docs-site` builds the documentation as a website, in an environment with zensical: `website.py FOLDER`.

Pages keep their paths in the repository, so links between them stay as they are. A link to a missing page, heading or file
ends the build. The page `explorer` shows the explorer of artifacts/digits, which runs in the browser.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from aaptvae.bundle import read_bundle
from aaptvae.explorer import MapRows, Site, find_wasm

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "training/aaptvae_training/data"
TOP = ("README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "LICENSE")
ENTRY = re.compile(r"^\| \[([^\]]+)\]\(([^)]+)\) \|", re.MULTILINE)  # a row of the table of docs/index.md
FENCE = re.compile(r"^```(\w+) [\w ]+$", re.MULTILINE)  # its second word tells the tests where the block runs
REFERENCE = re.compile(r'(?:href|src)="([^"#?:]+)[#?"]')
CONFIG = """
docs_dir = "pages"
site_dir = "site"
extra_css = ["docs/website.css"]
copyright = "Apache-2.0"
use_directory_urls = false

[project.theme]
font = false
features = ["content.code.copy", "navigation.footer", "navigation.top", "navigation.tracking", "search.highlight", "toc.follow"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Light"

[project.markdown_extensions]
attr_list = {}
md_in_html = {}
tables = {}
toc.permalink = true
pymdownx.highlight.pygments_lang_class = true
pymdownx.superfences = {}
"""
EXPLORER = """---
hide:
  - toc
---

# Explorer

A VAE of handwritten digits, 64 features and 16 latents, runs in this page. Drag on the map to decode.
[Alone in a tab](explorer/index.html){target="_blank"} · [What it shows](docs/web.md)

<iframe src="explorer/index.html" title="Latent explorer of the digits" class="explorer"></iframe>
"""


def stage(folder: Path) -> None:
    """Copy every page, and what it shows, to the new folder."""
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("*.py", "website.txt", "__pycache__"))
    for name in TOP:
        shutil.copy(ROOT / name, folder)
    data = folder / DIGITS.relative_to(ROOT)
    data.mkdir(parents=True)
    shutil.copy(DIGITS / "README.md", data)
    for page in folder.rglob("*.md"):
        page.write_text(FENCE.sub(r"```\1", page.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "explorer.md").write_text(EXPLORER, encoding="utf-8")


def navigation() -> Iterator[tuple[str, str]]:
    """Titles and pages: README, explorer, index, then the table of the index in its order."""
    yield from (("AAPT-VAE", "README.md"), ("Explorer", "explorer.md"), ("Overview", "docs/index.md"))
    for title, page in ENTRY.findall((ROOT / "docs/index.md").read_text(encoding="utf-8")):
        yield title, page.removeprefix("../") if page.startswith("../") else f"docs/{page}"
    yield "Changes", "CHANGELOG.md"


def configuration() -> str:
    """zensical.toml."""
    entries = "".join(f"  {{ {json.dumps(title)} = {json.dumps(page)} }},\n" for title, page in navigation())
    return f'[project]\nsite_name = "AAPT-VAE"\nnav = [\n{entries}]\n{CONFIG}'


def write_explorer(folder: Path) -> bool:
    """The explorer of the digits; whether it holds onnxruntime, and needs no other server."""
    wasm = find_wasm()
    rows = np.load(DIGITS / "digits.npy").astype(np.float32)
    Site(bundle=read_bundle(ROOT / "artifacts/digits"), table=MapRows(rows), image_shape=(8, 8), wasm=wasm).write(folder)
    return wasm is not None


def missing(folder: Path) -> list[str]:
    """References of pages to files that are not there, as `page: reference`."""
    pages = [page for page in sorted(folder.rglob("*.html")) if page.name != "404.html"]
    named = [(page, name) for page in pages for name in sorted(set(REFERENCE.findall(page.read_text(encoding="utf-8"))))]
    return [f"{page.relative_to(folder)}: {name}" for page, name in named if not (page.parent / unquote(name)).exists()]


def build(output: Path) -> None:
    """Build the website into the new folder `output`; a warning of zensical or a missing file ends the program."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        stage(place / "pages")
        (place / "zensical.toml").write_text(configuration(), encoding="utf-8")
        zensical = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--clean"]
        if subprocess.run(zensical, cwd=place, check=False).returncode:  # noqa: S603 - the program of this environment
            raise SystemExit("the website was not built: correct the links that zensical names")
        whole = write_explorer(place / "site/explorer")
        if lost := missing(place / "site"):
            raise SystemExit("the website lacks files that its pages name:\n" + "\n".join(lost))
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(place / "site", output)
    origin = "is in the folder" if whole else "comes from cdn.jsdelivr.net, as runtime/web has no packages: make web-install"
    print(f"{output}: {len(list(output.rglob('*.html')))} pages; the explorer's onnxruntime {origin}")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
