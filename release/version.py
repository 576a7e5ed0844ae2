"""`version.py TAG [--notes]`: the tag is the version of pyproject.toml, and CHANGELOG.md has a section for it."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def notes(changelog: str, version: str) -> str:
    """The section of a version; empty if there is none."""
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |^\[|\Z)", changelog, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""


def main(root: Path, tag: str, show: bool) -> int:
    """Print the section, or that the versions agree; 1 with a message if they do not."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    section = notes((root / "CHANGELOG.md").read_text(), version)
    if tag != f"v{version}":
        print(f"the tag is {tag!r} and pyproject.toml has {version}: expected the tag v{version}", file=sys.stderr)
    elif not section:
        print(f"CHANGELOG.md has no text under ## [{version}]: move that of [Unreleased] there", file=sys.stderr)
    else:
        print(section if show else f"{tag}: version and changelog agree")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(ROOT, sys.argv[1], "--notes" in sys.argv[2:]))
