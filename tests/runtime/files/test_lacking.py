"""Outputs on file systems that cannot sync folders, lock files or rename folders, simulated by a preloaded library."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TINY = Path(__file__).parents[1] / "tiny"


def one_of(*errors: str) -> list[Any]:
    """The first of several errors that are treated alike; the others run where CI is set."""
    return [errors[0], *(pytest.param(error, marks=pytest.mark.slow) for error in errors[1:])]


NO_SYNC = one_of("sync-einval", "sync-enotsup")
NO_LOCK = one_of("lock-enolck", "lock-enosys", "lock-ebadf")
NO_RENAME = one_of("rename-exdev", "rename-enotsup")
ALL = ["sync-einval,lock-enolck,rename-enotsup"]
THRICE = """
import sys
from aaptvae.cli.app import run
for options in ([], ["--force"], ["--force", "--resume"]):
    try:
        run([*sys.argv[1:], *options])
    except SystemExit as end:
        print(end.code, end="")
"""
FOLDERS = """
import sys
from pathlib import Path
from aaptvae.files.publish import publish_folder
for text in ("old", "new"):
    with publish_folder("made", force=text == "new") as folder:
        (folder / "manifest.json").write_text(text)
        (folder / f"{text}.txt").write_text(text)
        (folder / "deep/er").mkdir(parents=True)
        (folder / "deep/er/x").write_text(text)
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("needs Linux and gcc, to compile the library that simulates file systems")
    made = tmp_path_factory.mktemp("lacking") / "lacking.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", made, Path(__file__).with_name("lacking.c"), "-ldl"], check=True)
    return Path(made)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", np.zeros((9, 5), np.float32))
    return tmp_path


def python(library: Path, lacking: str, place: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    surroundings = os.environ | {"LD_PRELOAD": str(library), "LACKING": lacking}
    return subprocess.run(
        [sys.executable, *arguments], cwd=place, env=surroundings, capture_output=True, text=True, check=False
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def encode(library: Path, lacking: str, place: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return python(library, lacking, place, "-m", "aaptvae", "encode", str(TINY), "x.npy", "-o", "z.npy", *options)


@pytest.mark.parametrize("lacking", [*NO_SYNC, *NO_LOCK, *ALL])
def test_files_are_written_on_such_systems(library: Path, place: Path, lacking: str) -> None:
    done = python(library, lacking, place, "-c", THRICE, "encode", str(TINY), "x.npy", "-o", "z.npy")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "000")
    assert np.load(place / "z.npy").shape == (9, 2)
    assert names(place) == ["x.npy", "z.npy"]


@pytest.mark.parametrize("lacking", [*NO_SYNC, *NO_LOCK, *NO_RENAME, "rename-over", *ALL])
def test_folders_are_written_and_replaced_there(library: Path, place: Path, lacking: str) -> None:
    done = python(library, lacking, place, "-c", FOLDERS)
    assert (done.returncode, done.stderr) == (0, "")
    found = {str(path.relative_to(place / "made")): path.read_text() for path in (place / "made").rglob("*") if path.is_file()}
    assert found == {"manifest.json": "new", "new.txt": "new", "deep/er/x": "new"}
    assert names(place) == ["made", "x.npy"]


@pytest.mark.parametrize("lacking", NO_RENAME)
def test_an_existing_folder_is_refused_there(library: Path, place: Path, lacking: str) -> None:
    (place / "made").mkdir()
    done = python(library, lacking, place, "-c", FOLDERS)
    assert "InputError" in done.stderr and "made exists: add --force" in done.stderr
    assert names(place) == ["made", "x.npy"]


def test_a_failed_folder_sync_is_an_error(library: Path, place: Path) -> None:
    done = encode(library, "sync-eio", place)
    assert done.returncode == 1
    assert "z.npy cannot be written: Input/output error" in done.stderr


@pytest.mark.parametrize("lacking", NO_LOCK)
def test_without_locks_temporaries_of_others_stay(library: Path, place: Path, lacking: str) -> None:
    left = place / ".z.npy.0123abcd.aaptvae-tmp"
    left.touch()
    assert encode(library, lacking, place).returncode == 0
    assert left.exists()
    assert encode(library, "", place, "--force").returncode == 0
    assert not left.exists()


def test_a_folder_of_a_lower_layer_is_replaced(tmp_path: Path) -> None:
    """overlayfs, as in containers, does not rename folders of an image: EXDEV, without any simulation."""
    script = 'mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/merged"; cd "$1/merged"'
    new = FOLDERS.replace('("old", "new")', '("new",)')
    for name in ("lower/made", "upper", "work", "merged"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("manifest.json", "old.txt"):
        (tmp_path / "lower/made" / name).write_text("old")
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux and unshare")
    command = ["unshare", "-rm", "sh", "-ec"]
    if subprocess.run([*command, script, "sh", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount an overlay")
    found = "find made -type f | sort"
    done = subprocess.run(
        [*command, f'{script}; "$2" -c "$3"; {found}; ls -A', "sh", tmp_path, sys.executable, new],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["made/deep/er/x", "made/manifest.json", "made/new.txt", "made"]
