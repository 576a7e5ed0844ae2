"""The public API is the one of docs/api.txt; a difference is shown and must be committed."""

import difflib
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

import api  # noqa: E402


def test_the_public_api_is_the_committed_one() -> None:
    difference = difflib.unified_diff(api.FILE.read_text().splitlines(), api.lines(), "docs/api.txt", "the code", lineterm="")
    shown = "\n".join(difference)
    assert not shown, f"the public API changed: run `make docs`, commit docs/api.txt and say it in CHANGELOG.md\n{shown}"


class Before:
    """A class of a user."""

    field: int = 0

    def method(self, x: int) -> int:
        return x


class After:
    """The same, changed."""

    field: float = 0.0

    def method(self, x: int, *, y: int = 1) -> int:
        return x + y


def test_fields_and_signatures_are_seen() -> None:
    before, after = (list(api.described("user.Class", value)) for value in (Before, After))
    assert before == ["class user.Class()", "    field: int = 0", "    method(self, x: int) -> int"]
    assert after == ["class user.Class()", "    field: float = 0.0", "    method(self, x: int, *, y: int=1) -> int"]
