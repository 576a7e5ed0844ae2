"""`make docs` writes the command line's help and the file tree into README.md; `--check` only compares (part of `make check`).

Between `<!-- NAME -->` and `<!-- /NAME -->` stands what this script makes; everything else is written by hand.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FLOORS = ("runtime/aaptvae", "training/aaptvae_training", "export/aaptvae_export")


def help_page() -> str:
    """What `aaptvae --help` prints."""
    command = [sys.executable, "-m", "aaptvae", "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip()


def tree() -> str:
    """Every module of the three floors with the first sentence of its docstring."""
    lines = []
    for floor in FLOORS:
        lines.append(f"{floor}/")
        for path in sorted((ROOT / floor).rglob("*.py"), key=lambda p: (p.parent != ROOT / floor, str(p))):
            name = path.relative_to(ROOT / floor)
            lines.append(f"  {name!s:<22} {_first_sentence(path)}")
    return "\n".join(lines)


def _first_sentence(path: Path) -> str:
    text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    return re.split(r"(?<=[a-z)\"'`\]])[.:;] ", text, maxsplit=1)[0].rstrip(".")


def filled(text: str) -> str:
    """README.md with its generated parts as they are today."""
    for name, content in (("help", help_page()), ("tree", tree())):
        block = f"<!-- {name} -->\n```\n{content}\n```\n<!-- /{name} -->"
        text, count = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _, block=block: block, text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"README.md has {count} places for {name}: expected one")
    return text


if __name__ == "__main__":
    old = README.read_text()
    new = filled(old)
    if "--check" not in sys.argv:
        README.write_text(new)
    elif old != new:
        sys.exit("README.md is behind the code: run `make docs`")
