"""The branches for Windows and macOS, run on Linux: the names that these systems lack are removed before the import.

This shows that the branches run and give the same results. It does not show how those systems behave: docs/systems.md.
"""

import subprocess
import sys
from pathlib import Path

import pytest

TINY = Path(__file__).parent / "tiny"
POSIX_ONLY = (
    "register_at_fork fork sched_getaffinity posix_fadvise set_blocking getuid getloadavg fchmod mkfifo "
    "O_NOFOLLOW O_NONBLOCK O_DIRECTORY O_CLOEXEC POSIX_FADV_DONTNEED"
)
LACKING = {
    "linux": "",
    "darwin": "sched_getaffinity posix_fadvise POSIX_FADV_DONTNEED",
    "win32": POSIX_ONLY,
}

# The standard library and numpy choose their branches at import, so they are imported first, as the system they run on.
CODE = """
import asyncio, ctypes, importlib, os, shutil, signal, subprocess, sys, tempfile, threading, zipfile
import click, msgspec, numpy as np, onnxruntime

system, lacking, tiny = sys.argv[1], sys.argv[2].split(), sys.argv[3]
sys.platform = system
for name in lacking:
    delattr(os, name)
if system == "win32":
    os.supports_dir_fd = set()
    shutil._use_fd_functions = False  # `rmtree` there removes by path
    sys.modules |= dict.fromkeys(("fcntl", "resource", "termios", "pwd", "grp"))  # importing them is an ImportError
    ctypes.CDLL = None  # CDLL(None) is an error there
    signal.set_wakeup_fd = None

import aaptvae
from aaptvae.cli.app import app
from aaptvae.cli.stop import STOP
from aaptvae.engine.cpus import usable_cpus

def run(*words):
    app.main([*words], standalone_mode=False)

STOP.install()
run("sample", tiny, "-n", "40", "--seed", "7", "-o", "x.npy")
run("sample", tiny, "-n", "50", "--seed", "7", "-o", "x.npy", "--force")  # replaces an output
run("encode", tiny, "x.npy", "-o", "z.csv")
run("encode", tiny, "x.npy", "-o", "z.npy", "--resume")
run("decode", tiny, "z.npy", "-o", "back.jsonl")
run("score", tiny, "x.npy", "-o", "scores.csv")
run("verify", tiny)
assert usable_cpus() >= 1
try:
    run("encode", tiny, "x.npy", "-o", "z.csv")
except aaptvae.AaptvaeError as error:
    assert "--force" in str(error)
else:
    raise AssertionError("an output was replaced without --force")

from aaptvae.files.publish import publish_folder
for text in ("old", "new"):
    with publish_folder("folder", force=text == "new") as folder:
        (folder / "manifest.json").write_text(text)
        (folder / text).touch()
assert sorted(os.listdir("folder")) == ["manifest.json", "new"]
open(".x.npy.0badcafe.aaptvae-tmp", "w").close()  # of a killed writer
run("sample", tiny, "-n", "50", "--seed", "7", "-o", "x.npy", "--force")
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What the same verbs leave on each system: names and bytes."""
    return {system: left_by(system, tmp_path_factory.mktemp(system)) for system in LACKING}


def left_by(system: str, folder: Path) -> dict[str, bytes]:
    command = [sys.executable, "-W", "error", "-c", CODE, system, LACKING[system], str(TINY)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{system}: {result.stderr}"
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="pretends to be another system from Linux")
@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_leave_the_same_files(system: str, outputs: dict[str, dict[str, bytes]]) -> None:
    assert set(outputs["linux"]) == {"x.npy", "z.csv", "z.npy", "back.jsonl", "scores.csv"}
    assert outputs[system] == outputs["linux"]
