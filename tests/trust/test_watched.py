"""A runtime command reaches nothing but its named outputs: no network, no child, no other file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from . import watched
from .faults import TINY

COMMANDS = {
    "encode": (["encode", "tiny", "x.npy", "-o", "z.npy", "--logvar", "v.npy"], {"z.npy", "v.npy"}),
    "encode, resumable": (["encode", "tiny", "x.npy", "-o", "z.csv", "--resume"], {"z.csv"}),
    "decode": (["decode", "tiny", "latents.npy", "-o", "d.csv"], {"d.csv"}),
    "reconstruct": (["reconstruct", "tiny", "x.npy", "-o", "r.npz"], {"r.npz"}),
    "score": (["score", "tiny", "x.npy", "-o", "s.jsonl"], {"s.jsonl"}),
    "sample": (["sample", "tiny", "-n", "9", "-o", "s.npy"], {"s.npy"}),
    "sample, parquet": (["sample", "tiny", "-n", "9", "-o", "s.parquet"], {"s.parquet"}),
    "interpolate": (["interpolate", "tiny", "x.npy", "-o", "i.npy"], {"i.npy"}),
    "to stdout": (["encode", "tiny", "x.npy", "-o", "-", "--format", "csv"], set()),
    "info": (["info", "tiny"], set()),
    "verify": (["verify", "tiny"], set()),
    "bench": (["bench", "tiny"], set()),
    "help": (["encode", "--help"], set()),
    "version": (["--version"], set()),
    "a refusal": (["encode", "nowhere", "x.npy", "-o", "z.npy"], set()),
}
QUICK = ["encode", "encode, resumable", "sample, parquet", "verify", "help", "a refusal"]
FILE_EVENTS = ("open", "os.remove", "os.rename", "os.truncate", "os.chmod")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(TINY, tmp_path / "work/tiny")
    np.save(tmp_path / "work/x.npy", np.zeros((7, 5), np.float32))
    np.save(tmp_path / "work/latents.npy", np.zeros((7, 2), np.float32))
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path


def run(place: Path, arguments: list[str], program: str = watched.__file__) -> "subprocess.CompletedProcess[bytes]":
    """A command with a home and a temporary folder of its own, where nothing may appear."""
    notes = place / "notes"
    notes.touch()
    surroundings = {
        **os.environ,
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": str(place / "home/cache"),
    }
    return subprocess.run(
        [sys.executable, program, str(notes), *arguments],
        cwd=place / "work",
        capture_output=True,
        env=surroundings,
        check=False,
    )


def reached(place: Path, outputs: set[str]) -> list[str]:
    """Events that are none of its business: all but files of the outputs' names, or of the temporaries they begin as."""
    work = re.escape(os.path.realpath(place / "work"))
    names = "|".join(map(re.escape, sorted(outputs))) or "none"
    ours = re.compile(rf"{work}/(?:{names}|\.+(?:{names})(?:\.[0-9a-z]+\.aaptvae-tmp)+)")
    wrong = []
    for line in (place / "notes").read_text().splitlines():
        event, _, words = line.partition("\t")
        paths = [word for word in words.split() if "/" in word]
        if event in FILE_EVENTS and paths and all(ours.fullmatch(path) or path == "/dev/null" for path in paths):
            continue
        if event != "ctypes.dlopen" or words not in ("None", "libc.so.6"):
            wrong.append(line)
    return wrong


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS if name not in QUICK)]
)
def test_a_command_touches_only_its_named_outputs(place: Path, name: str) -> None:
    arguments, outputs = COMMANDS[name]
    before = {path.relative_to(place) for path in place.rglob("*")} | {Path("notes")}
    stamps = {path: path.stat().st_mtime_ns for path in (place / "work").rglob("*") if path.is_file()}
    done = run(place, arguments)
    assert done.returncode == (1 if name == "a refusal" else 0), done.stderr
    assert reached(place, outputs) == []
    assert {path.relative_to(place) for path in place.rglob("*")} - before == {Path("work", output) for output in outputs}
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_the_watch_would_see_what_must_not_happen(place: Path) -> None:
    guilty = place / "guilty.py"
    guilty.write_text(
        f"import sys; sys.path.insert(0, {str(Path(watched.__file__).parent)!r})\n"
        "import os, socket, subprocess, watched\n"
        "watched.watch(os.open(sys.argv[1], os.O_WRONLY))\n"
        "s = socket.socket()\n"
        "try: s.connect(('127.0.0.1', 9))\n"
        "except OSError: pass\n"
        "subprocess.run(['true'])\n"
        "open('/tmp/elsewhere-' + str(os.getpid()), 'w').close(); os.unlink('/tmp/elsewhere-' + str(os.getpid()))\n"
        "print(watched.connections())\n"
    )
    done = run(place, [], str(guilty))
    events = " ".join(reached(place, set()))
    assert all(word in events for word in ("socket.connect", "subprocess.Popen", "open\t/tmp/elsewhere", "os.remove"))
    assert b"socket:" in done.stdout


def test_a_command_works_without_network(place: Path) -> None:
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("needs the right to leave the network's namespace")
    arguments, _ = COMMANDS["encode"]
    probe = subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("this system keeps its network")
    command = ["unshare", "-n", sys.executable, "-m", "aaptvae", *arguments]
    assert subprocess.run(command, cwd=place / "work", check=False).returncode == 0
