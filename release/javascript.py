"""`make web-reproducible`: the npm package and the explorer's page, built twice in folders of their own, have the same bytes.

Both builds start from the tracked files and the packages in runtime/web/node_modules, in other time zones and at other times.
The page must also be the one in the clone. Needs npm, and `make web-install` before.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
WEB, PAGE = Path("runtime/web"), Path("runtime/aaptvae/explorer/page")


def build(folder: Path, zone: str) -> dict[str, bytes]:
    """The tarball of npm and the files of the page, built in a new folder."""
    os.umask(0o022)  # npm packs the modes of files
    names = subprocess.run(["git", "ls-files", "-z", WEB], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / WEB / "node_modules").symlink_to(ROOT / WEB / "node_modules")
    shutil.copyfile(ROOT / "LICENSE", folder / WEB / "LICENSE")  # npm packs a licence that lies beside package.json
    settings = {"cwd": folder / WEB, "env": os.environ | {"TZ": zone}, "stdout": subprocess.DEVNULL}
    for words in ("run -s build", "run -s page -- --logLevel error", "pack -s"):
        subprocess.run(["npm", *words.split()], check=True, **settings)
    built = [*(folder / WEB).glob("*.tgz"), *(folder / PAGE).iterdir()]
    return {path.name: path.read_bytes() for path in built}


def differences(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    """Names of files that are in one build only, or that differ."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def main() -> int:
    """Print digests, or the names that differ and 1."""
    if shutil.which("npm") is None or not (ROOT / WEB / "node_modules").is_dir():
        print("web-reproducible needs npm and the packages of runtime/web: make web-install", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, second = build(Path(one), "UTC"), build(Path(two), "Asia/Kathmandu")
    committed = {path.name: path.read_bytes() for path in (ROOT / PAGE).iterdir()}
    page = {name: data for name, data in first.items() if not name.endswith(".tgz")}
    found = [f"{name}: two builds differ" for name in differences(first, second)]
    found += [f"{PAGE / name}: not what runtime/web builds: make web-build" for name in differences(page, committed)]
    for line in found:
        print(line, file=sys.stderr)
    for name, data in sorted(first.items()):
        print(f"{hashlib.sha256(data).hexdigest()}  {name} ({len(data):,} bytes)")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
