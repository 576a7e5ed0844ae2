"""`make reproducible`: build a clone of the last commit in another folder and compare it byte by byte with dist/.

A difference means that the working tree is not the commit, or that the build depends on its folder, umask or time.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from build_dist import ROOT, build

BUILT = (".whl", ".gz", ".tgz")


def rebuilt(folder: Path) -> Path:
    """The files that `make dist` writes in a clone of the last commit, built with another umask."""
    subprocess.run(["git", "clone", "-q", "--no-local", str(ROOT), str(folder / "clone")], check=True)
    os.umask(0o077)
    build(folder / "clone", folder / "dist")
    return folder / "dist"


def differences(first: Path, second: Path) -> list[str]:
    """Names of built files that are in one folder only, or that differ."""
    names = {path.name for folder in (first, second) for path in folder.iterdir() if path.suffix in BUILT}
    return sorted(name for name in names if not _same(first / name, second / name))


def _same(first: Path, second: Path) -> bool:
    return first.is_file() and second.is_file() and first.read_bytes() == second.read_bytes()


def main(dist: Path) -> int:
    """Print the names that differ; 1 if there are any."""
    with tempfile.TemporaryDirectory() as folder:
        different = differences(dist, rebuilt(Path(folder)))
    for name in different:
        print(f"{dist / name} differs from a build of the last commit: commit all changes, then run make dist", file=sys.stderr)
    if not different:
        print(f"{dist}: a second build, of a fresh clone, has the same bytes")
    return bool(different)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
