"""A small share of `faults.py`, and what a command does where it may not write or is told to stop."""

import ctypes
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from forked import Child, Done, command

from .faults import COMMANDS, TINY, Command

LIGHT = "encode", "decode", "score", "sample"
KILLS, FULL_DISKS = (15, 10) if "CI" in os.environ else (10, 5)


def test_outputs_are_complete_or_absent_after_faults() -> None:
    """In a process of its own: commands are forked from it, and this one may have threads."""
    command = [sys.executable, "-m", "tests.trust.faults", str(KILLS), str(FULL_DISKS), *LIGHT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    for name, least in (("kills", KILLS // 2), ("full disks", FULL_DISKS // 2)):
        tried, hit = map(int, re.findall(rf"^{name}: (\d+), (\d+) of them", done.stdout, re.MULTILINE)[0])
        assert tried >= 2 * least and hit >= least, done.stdout


def without_privilege() -> None:
    """Root's right to read and write everything, dropped before the command starts."""
    if os.getuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP


def run(folder: Path, *arguments: object) -> Done:
    """The command line, as a user who is not root would run it."""
    done = subprocess.run(
        [sys.executable, "-m", "aaptvae", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        preexec_fn=without_privilege,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", np.zeros((3, 5), np.float32))
    np.save(tmp_path / "f.npy", np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32))
    return tmp_path


def refused(done: Done, words: str) -> None:
    assert done.status == 1
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert words in done.err


WRITERS = {
    "encode": ["encode", TINY, "x.npy", "-o"],
    "sample": ["sample", TINY, "-n", "3", "--seed", "1", "-o"],
    "train": ["train", "f.npy", "--latent-dim", "2", "--epochs", "1", "-o"],
}


@pytest.mark.parametrize("name", ["encode", "sample", pytest.param("train", marks=pytest.mark.slow)])
def test_an_unwritable_folder_is_named(place: Path, name: str) -> None:
    (place / "locked").mkdir(mode=0o555)
    refused(run(place, *WRITERS[name], "locked/out.npy"), "Permission denied")
    assert list((place / "locked").iterdir()) == []


def test_an_unreadable_file_is_named(place: Path) -> None:
    (place / "x.npy").chmod(0)
    done = run(place, *WRITERS["encode"], "z.npy")
    assert (done.status, "'x.npy' is not readable" in done.err) == (2, True)
    assert not (place / "z.npy").exists()


@pytest.mark.parametrize("name", ["encode", "sample"])
def test_a_folder_instead_of_a_file_stays_unchanged(place: Path, name: str) -> None:
    (place / "out.npy").mkdir()
    (place / "out.npy/mine").write_text("mine")
    refused(run(place, *WRITERS[name], "out.npy", "--force"), "is a folder: name a file")
    assert (place / "out.npy/mine").read_text() == "mine"


def test_what_is_no_run_stays_unchanged(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for name, words in (("folder/mine", "holds something that is not a run"), ("file", "file")):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("mine")
        refused(command(*WRITERS["train"], name.partition("/")[0], "--force"), words)
        assert (place / name).read_text() == "mine"


def as_started(*arguments: str) -> None:
    """In a child: the script `aaptvae`, which handles signals."""
    from aaptvae.cli import main  # noqa: PLC0415

    sys.argv[1:] = arguments
    main()


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_leaves_a_training_that_resumes(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int, word: str
) -> None:
    monkeypatch.chdir(place)
    arguments = [*WRITERS["train"][:-1], "--hidden-dim", "8", "-o", "run"]
    arguments[arguments.index("--epochs") + 1] = "2000"
    job = Child(as_started, *map(str, arguments))
    while not (place / "run/last/state.safetensors").exists():
        assert job.process.is_alive()
        time.sleep(0.02)
    time.sleep(random.Random(number).random() / 2)  # noqa: S311 - anywhere in the training
    os.kill(job.process.pid, number)
    done = job.wait()
    assert (done.status, done.err.strip().splitlines()[-1]) == (status, word)
    assert {path.name for path in place.iterdir()} == {"x.npy", "f.npy", "run"}
    assert not list(place.rglob("*aaptvae-tmp"))


BOTH = """
from aaptvae.cli.app import run
for line in sys.argv[1:]:
    try:
        run(line.split())
    except SystemExit as end:
        assert not end.code
"""


@pytest.mark.slow
def test_a_clock_that_jumps_changes_no_byte(place: Path) -> None:
    jump = (
        "import sys, time, random\nreal, choose = time.time, random.Random(0)\n"
        "time.time = lambda: real() + choose.choice((-1e9, 0, 1e9))\n"
        "time.time_ns = lambda: int(time.time() * 1e9)\n"
    )
    outputs = {"encode": "z.npz", "sample": "s.parquet"}
    for number, code in enumerate((jump, "import sys\n")):
        lines = [" ".join([*map(str, WRITERS[verb]), f"{number}-{name}"]) for verb, name in outputs.items()]
        subprocess.run([sys.executable, "-c", code + BOTH, *lines], cwd=place, check=True)
    for output in outputs.values():
        assert (place / f"0-{output}").read_bytes() == (place / f"1-{output}").read_bytes()


def test_the_campaign_covers_every_writing_verb() -> None:
    verbs = {command.arguments[0] for command in COMMANDS}
    assert verbs == {"encode", "decode", "reconstruct", "score", "sample", "interpolate", "train", "export", "demo"}
    assert all(isinstance(command, Command) and command.output for command in COMMANDS)
