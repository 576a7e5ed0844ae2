"""Versions stand in constraints.txt; the lock repeats them with hashes, and floors are exact."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements-dev.lock"
if not LOCK.exists():
    pytest.skip("the sdist has no lock", allow_module_level=True)
PIN = re.compile(r"^([\w.-]+)==([^ ;\\\n]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in PIN.findall(path.read_text())}


def test_the_lock_has_the_versions_of_the_constraints() -> None:
    """Torch is left out: its builds differ between indexes. Out of date: `make lock`."""
    wanted = pins(ROOT / "constraints.txt")
    del wanted["torch"]
    assert pins(LOCK) == wanted


def test_every_locked_version_has_hashes() -> None:
    for entry in re.split(r"\n(?=\w)", LOCK.read_text().strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_tested_floors_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    floors = dict(re.match(r"([\w-]+)>=([\w.]+)$", wanted).groups() for wanted in project["dependencies"])  # type: ignore[union-attr]
    assert pins(ROOT / "tests/floors.txt") == floors
