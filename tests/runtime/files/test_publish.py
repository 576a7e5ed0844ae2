"""Outputs appear complete or not at all, after any interruption."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aaptvae.errors import InputError
from aaptvae.files import publish
from aaptvae.files.publish import SUFFIX, publish_file, publish_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_succeeds(tmp_path: Path) -> None:
    with publish_file(tmp_path / "x") as temporary:
        temporary.write_bytes(b"whole")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_block_leaves_only_the_old_output(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "d").mkdir()
    with pytest.raises(error), publish_file(tmp_path / "x", force=True) as temporary:
        temporary.write_bytes(b"half")
        raise error
    with pytest.raises(error), publish_folder(tmp_path / "d", force=True) as folder:
        (folder / "half").touch()
        raise error
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["d", "x"]
    assert names(tmp_path / "d") == []


def test_a_folder_is_replaced_only_with_force(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with publish_folder(tmp_path / "d", force=text == "new") as folder:
            (folder / "manifest.json").write_text(text)
    assert (tmp_path / "d/manifest.json").read_text() == "new"
    with pytest.raises(InputError, match=r"d exists: add --force to replace it"), publish_folder(tmp_path / "d"):
        pass
    assert names(tmp_path) == ["d"]


def test_a_folder_is_replaced_without_atomic_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_renameat2", lambda *_: False)
    test_a_folder_is_replaced_only_with_force(tmp_path)


def test_force_never_replaces_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").touch()
    with pytest.raises(InputError, match="--force does not replace it"), publish_folder(tmp_path / "home", force=True):
        pass
    assert (tmp_path / "home/thesis.txt").exists()


def test_unwritable_outputs_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        ("file", "exists"),
        ("no/x", "is not a folder, make it first"),
        ("file/x", "is not a folder"),
        ("pipe", "is not a regular file"),
        ("", "is a folder"),
    ]:
        with pytest.raises(InputError, match=message), publish_file(tmp_path / path):
            pytest.fail("the block ran")
    with pytest.raises(InputError, match="is a file: name a folder"), publish_folder(tmp_path / "file", force=True):
        pytest.fail("the block ran")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that nobody writes to, not even root")
def test_a_read_only_folder_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be written: "), publish_file("/proc/x"):
        pytest.fail("the block ran")


def test_an_output_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists"), publish_file(tmp_path / "x") as temporary:
        temporary.write_bytes(b"ours")
        (tmp_path / "x").write_bytes(b"theirs")
    assert (tmp_path / "x").read_bytes() == b"theirs"
    assert names(tmp_path) == ["x"]


def test_a_full_disk_is_an_input_error(tmp_path: Path) -> None:
    code = f"""
import resource
from aaptvae.files.publish import publish_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with publish_file({str(tmp_path / "x")!r}) as temporary:
    temporary.write_bytes(bytes(2000))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "InputError" in done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert names(tmp_path) == []


HOLDER = """
import sys, time
from aaptvae.files.publish import publish_file
with publish_file(sys.argv[1], keep=bool(sys.argv[2:])) as temporary:
    temporary.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_only_temporaries_of_killed_writers_are_removed(tmp_path: Path) -> None:
    def writer() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    with writer() as killed, writer() as living:
        killed.kill()
        killed.wait()
        with publish_file(tmp_path / "x") as temporary:
            temporary.write_bytes(b"whole")
        assert len(names(tmp_path)) == 2  # x and what the living one holds
        living.send_signal(signal.SIGKILL)
    with publish_file(tmp_path / "x", force=True):
        pass
    assert names(tmp_path) == ["x"]


def test_a_kept_temporary_is_locked_by_one_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "x"), "keep"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(InputError, match="written by another process"), publish_file(tmp_path / "x", keep=True):
            pass
        other.kill()
    with publish_file(tmp_path / "x", keep=True) as temporary:
        assert temporary.read_bytes() == b"half"


def test_links_are_followed_and_modes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with publish_file(tmp_path / "link", force=True) as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("swaps", [True, False])
def test_kills_leave_the_old_or_new_folder(tmp_path: Path, swaps: bool, kills: int) -> None:
    """Where names cannot be swapped the old folder may be aside at first; whoever writes next puts it back."""
    code = """
import sys
from aaptvae.files import publish
if sys.argv[2] == "False":
    publish._renameat2 = lambda *_: False
for n in range(10**6):
    with publish.publish_folder(sys.argv[1], force=True) as folder:
        (folder / "manifest.json").write_text(str(n)); (folder / "b").write_text(str(n))
    print(n, flush=True)
"""
    target, moments = tmp_path / "d", random.Random(3)  # noqa: S311 - moments, no secrets
    for round_ in range(kills):
        command = [sys.executable, "-c", code, str(target), str(swaps)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            seen = [int(process.stdout.readline()) for _ in range(3 + round_)][-1]
            time.sleep(moments.uniform(0, 0.003))
            process.kill()
        if not swaps:
            with contextlib.suppress(KeyError), publish_folder(target, force=True):
                raise KeyError
        assert int((target / "manifest.json").read_text()) == int((target / "b").read_text()) >= seen
    with publish_folder(target, force=True):
        pass
    assert names(tmp_path) == ["d"]


def test_a_failed_rename_restores_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_renameat2", lambda *_: False)
    with publish_folder(tmp_path / "d") as folder:
        (folder / "manifest.json").write_text("old")
    with pytest.raises(InputError, match="cannot be written"), publish_folder(tmp_path / "d", force=True) as folder:
        folder.rmdir()
    assert (tmp_path / "d" / "manifest.json").read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place, other: place.symlink_to(other), "symbolic links"),
        (lambda place, _: os.mkfifo(place), "is not a regular file and is needed for a temporary: remove it"),
        (lambda place, _: place.mkdir(), "directory"),
    ],
    ids=["link", "pipe", "folder"],
)
def test_an_irregular_kept_temporary_is_refused(tmp_path: Path, make: Callable[[Path, Path], None], words: str) -> None:
    (tmp_path / "precious").write_text("as it was")
    make(tmp_path / f".z.npy.partial{SUFFIX}", tmp_path / "precious")
    with pytest.raises(InputError, match=words), publish_file(tmp_path / "z.npy", keep=True):
        pytest.fail("nothing is written through it")
    assert (tmp_path / "precious").read_text() == "as it was"
    assert not (tmp_path / "z.npy").exists()


def test_debris_of_a_killed_record_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"..x.npy.{publish.RECORD}{SUFFIX}.0123abcd{SUFFIX}"
    left.touch()
    with publish_file(tmp_path / "x.npy") as temporary:
        temporary.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
