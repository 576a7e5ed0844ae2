"""The built files in a new environment outside the clone, as a user meets them: `outside.py WHAT DIST [FILE]`.

`tests` (make wheel-test): the tests of the runtime and of the pages, from the sdist, against the installed wheel; FILE, if
there is one, gets the names of those that passed.
`newest` (make newest-test): the same, with the newest versions that the wheel admits.
`demo` (make first-picture): what the README's `make demo` shows, with the extra `train`.
`contents` (make contents): SBOM, licences and known holes of what the wheel installs; FILE is the folder of tools.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from pathlib import Path

from build_dist import write_sums

ROOT = Path(__file__).parent.parent
PACKAGES = ("runtime", "training", "export")
FORBIDDEN = ("torch", "onnx", "matplotlib")


def environment(folder: Path) -> Path:
    """The interpreter of a new virtual environment, which has no pip of its own."""
    venv.create(folder)
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def run(*command: str | Path, folder: Path | None = None) -> None:
    """Print and run a command; one that fails ends the program."""
    words = [str(word) for word in command]
    print("+", *words, flush=True)
    # Without CI, so that tests marked slow run once: in the clone.
    free = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "CI"}
    if status := subprocess.run(words, cwd=folder, env=free, check=False).returncode:
        raise SystemExit(f"exit status {status}: {' '.join(words)}")


def install(python: Path, *packages: str, newest: bool = False) -> None:
    """Install, with the exact versions of constraints.txt unless `newest`."""
    versions = () if newest else ("-c", str(ROOT / "constraints.txt"))
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", *versions, *packages)


def unpacked(sdist: Path, folder: Path) -> Path:
    """The sdist without the code of the packages, so that only the installed wheel can be imported."""
    with tarfile.open(sdist) as archive:
        wanted = [member for member in archive if member.name.split("/")[1] not in PACKAGES or member.name.endswith(".md")]
        archive.extractall(folder, wanted, filter="data")
    return next(folder.iterdir())


def newest(folder: Path, dist: Path) -> None:
    """The tests, with the newest versions."""
    tests(folder, dist, newest=True)


def tests(folder: Path, dist: Path, passed: Path | None = None, newest: bool = False) -> None:
    """Run the tests of the runtime and of the pages, and write which passed; no heavy package may be installed."""
    python = environment(folder / "env")
    install(python, str(next(dist.glob("*.whl"))), "pytest", "pytest-xdist", "hypothesis", newest=newest)
    check = f"import importlib.util as i; found = [n for n in {FORBIDDEN} if i.find_spec(n)]; assert not found, found"
    run(python, "-c", check)
    where = unpacked(next(dist.glob("*.tar.gz")), folder / "sdist") / "tests"
    options = ["-n", "2", "--dist", "loadfile", "-c", "../pyproject.toml", "--rootdir", ".."]
    options += [f"--write-passed={passed}"] if passed else []
    run(python, "-m", "pytest", "-q", *options, "runtime", "docs", folder=where)


def demo(folder: Path, dist: Path) -> None:
    """Install with the extra `train`, run the demo, and say how long both took together."""
    began = time.monotonic()
    python = environment(folder / "env")
    install(python, f"{next(dist.glob('*.whl'))}[train]")
    run(python, "-m", "aaptvae", "demo", "-o", "demo", folder=folder)
    pictures = sorted((folder / "demo").rglob("*.png"))
    if not pictures:
        raise SystemExit(f"the demo wrote no picture: found {[path.name for path in (folder / 'demo').iterdir()]}")
    print(f"from the wheel file to {pictures[0].name}: {time.monotonic() - began:.0f} s")


def contents(folder: Path, dist: Path, tools: Path) -> None:
    """Describe what the wheel installs: SBOM and licences beside it, known holes on the screen."""
    python = environment(folder / "env")
    wheel = next(dist.glob("*.whl"))
    install(python, str(wheel))
    packages = Path(output(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    name = "-".join(wheel.name.split("-")[:2])
    bill = dist / f"{name}.cdx.json"
    run(tools / "cyclonedx-py", "environment", "--output-reproducible", "--of", "JSON", "-o", bill, python)
    bill.write_text(without_local_files(bill.read_text()))
    (dist / f"{name}.licences.txt").write_text(output(python, ROOT / "release/licences.py") + "\n")
    run(sys.executable, ROOT / "release/holes.py", tools / "pip-audit", packages)
    write_sums(dist)


def output(*command: str | Path) -> str:
    """What a command prints; one that fails ends the program."""
    return subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def without_local_files(text: str) -> str:
    """The SBOM without addresses of this machine's files: pip records from where the wheel was installed."""
    bill = json.loads(text)
    for component in bill["components"]:
        found = component.get("externalReferences", [])
        component["externalReferences"] = [one for one in found if not one["url"].startswith("file:")]
    return json.dumps(bill, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    what, place, *others = sys.argv[1], *(Path(word).absolute() for word in sys.argv[2:])
    with tempfile.TemporaryDirectory() as name:
        {"tests": tests, "newest": newest, "demo": demo, "contents": contents}[what](Path(name), place, *others)
