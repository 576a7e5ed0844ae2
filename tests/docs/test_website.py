"""The website has every page, and files that its pages name but that are missing are found."""

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

if not (ROOT / "training/aaptvae_training/data/digits.npy").exists():
    pytest.skip("the sdist's tests have no digits", allow_module_level=True)

import website  # noqa: E402


def test_every_page_is_in_the_navigation(tmp_path: Path) -> None:
    project = tomllib.loads(website.configuration())["project"]
    named = [page for entry in project["nav"] for page in entry.values()]
    website.stage(tmp_path / "pages")
    pages = {path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.md")}
    assert len(named) == len(set(named))
    assert pages - set(named) == {"CODE_OF_CONDUCT.md", "training/aaptvae_training/data/README.md"}
    assert set(named) <= pages


def test_words_for_tests_are_no_part_of_a_language(tmp_path: Path) -> None:
    website.stage(tmp_path / "pages")
    guide = (tmp_path / "pages/docs/guide.md").read_text()
    assert "```python\n" in guide and "```python train" not in guide


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "here.css").touch()
    page = '<a href="https://example.org"></a><a href="#top"></a><link href="../here.css?v=1"><img src="gone%20now.png">'
    (tmp_path / "docs/a.html").write_text(page)
    assert website.missing(tmp_path) == ["docs/a.html: gone%20now.png"]


def test_the_explorer_is_that_of_the_digits(tmp_path: Path) -> None:
    website.write_explorer(tmp_path / "explorer")
    assert (tmp_path / "explorer/index.html").exists() and (tmp_path / "explorer/bundle/encoder.onnx").exists()
