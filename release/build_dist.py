"""`make dist`: one wheel and one sdist with the time of the last commit as every file's time, and their checksums."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SUMS = "SHA256SUMS"


def commit_time(root: Path) -> str:
    """Seconds since 1970 of the last commit, which hatchling writes into the archives; SOURCE_DATE_EPOCH comes first."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{root} has no commit: build in a clone, or set SOURCE_DATE_EPOCH: {result.stderr.strip()}")
    return result.stdout.strip()


def build(root: Path, dist: Path) -> None:
    """Build `root` into the new folder `dist`, with the hatchling of constraints.txt."""
    shutil.rmtree(dist, ignore_errors=True)
    fixed = {"SOURCE_DATE_EPOCH": commit_time(root), "PIP_CONSTRAINT": str(root / "constraints.txt")}
    command = [sys.executable, "-m", "build", "-q", "-o", str(dist), str(root)]
    subprocess.run(command, env=os.environ | fixed, check=True)


def write_sums(dist: Path) -> None:
    """SHA-256 of every file of the folder, in the format that `sha256sum -c` reads."""
    files = sorted(path for path in dist.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (dist / SUMS).write_text("".join(lines))


if __name__ == "__main__":
    build(ROOT, Path(sys.argv[1]))
    write_sums(Path(sys.argv[1]))
