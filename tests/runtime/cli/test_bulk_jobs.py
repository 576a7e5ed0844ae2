"""Bulk jobs under signals, kills, full disks and closed pipes: the whole output or nothing, and exact resumption."""

import contextlib
import io
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from preforked import VERB, run, start

import aaptvae

ROWS = 400_000
# Slow enough to be interrupted on any machine: the job waits after each batch that it has written.
SLOWED = """
import sys, time
from aaptvae.cli.job import job
def slowly(*arguments, written=job.Job._written):
    for rows in written(*arguments):
        yield rows
        time.sleep(0.02)
job.Job._written, job.SAVE_SECONDS = slowly, 0.05
from aaptvae.cli import main
main()
"""

# Signals itself at one of its steps (whatever Python audits: imports, files opened, ...), and counts them.
SIGNALLED = """
import os, sys
from aaptvae.cli.stop import Stop
at, number = map(int, os.environ["AT"].split())
steps = 0
def step(event, arguments):
    global steps
    steps += 1
    if steps == at:
        os.kill(os.getpid(), number)
def install(self, install=Stop.install):
    install(self)
    sys.addaudithook(step)
Stop.install = install
from aaptvae.cli import main
try:
    main()
finally:
    print(steps)
"""
ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
WORDS = {130: b"interrupted\n", 143: b"terminated\n"}


def slow(*arguments: object, stdin: bool = False) -> Any:
    return start(SLOWED, *arguments, stdin=stdin)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_for(condition: Callable[[], bool], process: Any) -> None:
    while not condition():
        assert process.poll() is None
        time.sleep(0.005)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "x.npy"
    np.save(path, np.random.default_rng(0).standard_normal((ROWS, 5)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def expected(rows: Path, vae: aaptvae.VAE) -> np.ndarray:
    return vae.embed(np.load(rows))


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_ends_a_job_cleanly(tmp_path: Path, tiny: Path, rows: Path, number: int, status: int) -> None:
    (tmp_path / "z.npy").write_bytes(b"old")
    with slow("encode", tiny, rows, "-o", tmp_path / "z.npy", "--logvar", tmp_path / "v.npy", "--force") as job:
        wait_for(lambda: len(names(tmp_path)) == 3, job)
        time.sleep(0.05)
        job.send_signal(number)
        _, talk = job.communicate()
    assert (job.returncode, talk) == (status, WORDS[status])
    assert names(tmp_path) == ["z.npy"]
    assert (tmp_path / "z.npy").read_bytes() == b"old"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_resumed_job_writes_the_same_bytes(tmp_path: Path, tiny: Path, rows: Path, number: int, expected: np.ndarray) -> None:
    command = ["encode", tiny, rows, "-o", tmp_path / "z.npy", "--logvar", tmp_path / "v.npy", "--resume"]
    record = tmp_path / ".z.npy.record.aaptvae-tmp"
    for _ in range(3):
        before = record.read_bytes() if record.exists() else b""
        with slow(*command) as job:
            wait_for(lambda before=before: record.exists() and record.read_bytes() != before, job)  # type: ignore[misc]
            job.send_signal(number)
            _, talk = job.communicate()
        assert (b"rows are kept: repeat the command to continue after them" in talk) == (number != signal.SIGKILL)
        assert not (tmp_path / "z.npy").exists()
    done = run(*command)
    assert (done.returncode, done.stderr) == (0, b"")
    assert names(tmp_path) == ["v.npy", "z.npy"]
    assert np.array_equal(np.load(tmp_path / "z.npy"), expected)


def test_a_resumed_job_continues_after_kept_rows(tmp_path: Path, tiny: Path, rows: Path) -> None:
    with slow("encode", tiny, rows, "-o", tmp_path / "z.npy", "--resume") as job:
        record = tmp_path / ".z.npy.record.aaptvae-tmp"
        wait_for(lambda: record.exists() and b'"rows":0,' not in record.read_bytes(), job)
        job.kill()
    partial = tmp_path / ".z.npy.partial.aaptvae-tmp"
    with partial.open("r+b") as file:
        file.seek(128)
        file.write(b"\xab" * 8)  # a mark in the first row, which only a job that begins again would overwrite
    assert run("encode", tiny, rows, "-o", tmp_path / "z.npy", "--resume").returncode == 0
    assert (tmp_path / "z.npy").read_bytes()[128:136] == b"\xab" * 8


def test_partial_outputs_of_two_jobs_never_mix(tmp_path: Path, tiny: Path, rows: Path, x: np.ndarray, vae: aaptvae.VAE) -> None:
    """Two jobs that share their second output: the other one is refused, and what the first has left is as it was."""
    np.save(tmp_path / "x.npy", x)
    first = ["encode", tiny, rows, "-o", tmp_path / "z.npy", "--logvar", tmp_path / "v.npy", "--resume"]
    with slow(*first) as job:
        wait_for((tmp_path / ".v.npy.record.aaptvae-tmp").exists, job)
        job.kill()
    done = run("encode", tiny, tmp_path / "x.npy", "-o", tmp_path / "w.npy", "--logvar", tmp_path / "v.npy", "--resume")
    assert (done.returncode, b"was begun with another input" in done.stderr) == (1, True)
    assert run(*first).returncode == 0
    for name, whole in zip("zv", vae.encode(np.load(rows, mmap_mode="r")), strict=True):
        assert np.array_equal(np.load(tmp_path / f"{name}.npy"), whole)


def test_resume_refuses_one_more_output(tmp_path: Path, tiny: Path, rows: Path) -> None:
    command = ["encode", tiny, rows, "-o", tmp_path / "z.npy", "--resume"]
    with slow(*command) as job:
        wait_for((tmp_path / ".z.npy.record.aaptvae-tmp").exists, job)
        job.terminate()
        job.communicate()
    kept = (tmp_path / ".z.npy.record.aaptvae-tmp").read_bytes()
    done = run(*command, "--logvar", tmp_path / "v.npy")
    assert done.returncode == 1
    assert done.stderr.endswith(b"was begun with another list of outputs: to start again, give --force, not --resume\n")
    assert (tmp_path / ".z.npy.record.aaptvae-tmp").read_bytes() == kept
    assert run(*command).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_during_exit_changes_nothing(tmp_path: Path, tiny: Path, number: int) -> None:
    np.save(tmp_path / "bad.npy", np.full((3, 5), np.nan, np.float32))
    for delay in (0, 0.005, 0.02):
        with subprocess.Popen(
            [sys.executable, "-m", "aaptvae", "encode", str(tiny), str(tmp_path / "bad.npy"), "-o", str(tmp_path / "z.npy")],
            stderr=subprocess.PIPE,
        ) as job:
            assert job.stderr is not None
            assert job.stderr.readline().startswith(b"error: ")
            time.sleep(delay)
            job.send_signal(number)
        assert job.returncode in (1, 128 + number)


@pytest.mark.parametrize("format", ["npy", pytest.param("csv", marks=pytest.mark.slow)])
def test_a_record_whose_rows_were_published_begins_anew(tmp_path: Path, tiny: Path, rows: Path, format: str) -> None:
    command = ["encode", tiny, rows, "-o", tmp_path / f"z.{format}", "--resume"]
    record = tmp_path / f".z.{format}.record.aaptvae-tmp"
    with slow(*command) as job:
        wait_for(record.exists, job)
        job.kill()
    left = record.read_bytes()
    assert run(*command).returncode == 0
    whole = (tmp_path / f"z.{format}").read_bytes()
    record.write_bytes(left)  # as a kill leaves it that comes after the rename
    done = run(*command, "--force")
    said = [line for line in done.stderr.splitlines() if not line.endswith(b" left")]  # after a minute, how far it is
    assert (done.returncode, said) == (0, [])
    assert (tmp_path / f"z.{format}").read_bytes() == whole


@pytest.mark.parametrize("format", ["jsonl", pytest.param("csv", marks=pytest.mark.slow)])
def test_text_resumes_after_skipped_lines(tmp_path: Path, tiny: Path, format: str) -> None:
    good, bad = ("1,2,3,4,{}\n", "x\n") if format == "csv" else ("[1,2,3,4,{}]\n", "[]\n")
    (tmp_path / f"x.{format}").write_text("".join(bad if n % 5000 == 7 else good.format(n) for n in range(20_000)))
    command = ["encode", tiny, tmp_path / f"x.{format}", "--on-bad-row", "skip", "-o"]
    assert run(*command, tmp_path / f"whole.{format}").returncode == 1
    with slow(*command, tmp_path / f"z.{format}", "--resume") as job:
        wait_for((tmp_path / f".z.{format}.record.aaptvae-tmp").exists, job)
        job.kill()
    done = run(*command, tmp_path / f"z.{format}", "--resume")
    assert done.returncode == 1
    assert done.stderr.count(b"skipped: ") == 4
    assert (tmp_path / f"z.{format}").read_bytes() == (tmp_path / f"whole.{format}").read_bytes()


@pytest.mark.parametrize("format", ["csv", pytest.param("jsonl", marks=pytest.mark.slow)])
def test_ids_resume_with_their_rows(tmp_path: Path, tiny: Path, format: str) -> None:
    lines = ["id,a,b,c,d,e\n", *("q,x\n" if n % 5000 == 7 else f'"r,{n}",1,2,3,4,{n % 97}\n' for n in range(20_000))]
    (tmp_path / "x.csv").write_text("".join(lines))
    command = ["encode", tiny, tmp_path / "x.csv", "--on-bad-row", "skip", "--id", "id", "-o"]
    assert run(*command, tmp_path / f"whole.{format}").returncode == 1
    with slow(*command, tmp_path / f"z.{format}", "--resume") as job:
        wait_for((tmp_path / f".z.{format}.record.aaptvae-tmp").exists, job)
        job.kill()
    other = run(*command[:5], "--drop", "id", "-o", tmp_path / f"z.{format}", "--resume")
    assert (other.returncode, b"was begun with another options" in other.stderr) == (1, True)
    assert run(*command, tmp_path / f"z.{format}", "--resume").stderr.count(b"skipped: ") == 4
    whole = (tmp_path / f"whole.{format}").read_bytes()
    assert (tmp_path / f"z.{format}").read_bytes() == whole and whole.count(b"r,") == 19_996


def test_a_resumed_sample_continues_its_seed(tmp_path: Path, tiny: Path, vae: aaptvae.VAE) -> None:
    command = ["sample", tiny, "-n", 300_000, "--seed", 3, "-o", tmp_path / "s.npy", "--resume"]
    with slow(*command) as job:
        wait_for((tmp_path / ".s.npy.record.aaptvae-tmp").exists, job)
        job.terminate()
        job.communicate()
    assert run(*command).returncode == 0
    assert np.array_equal(np.load(tmp_path / "s.npy"), vae.sample(300_000, seed=3))


def test_resume_refuses_another_job_and_a_stream(tmp_path: Path, tiny: Path, rows: Path, x: np.ndarray) -> None:
    with slow("encode", tiny, rows, "-o", tmp_path / "z.npy", "--resume") as job:
        wait_for((tmp_path / ".z.npy.record.aaptvae-tmp").exists, job)
        job.kill()
    np.save(tmp_path / "x.npy", x)
    done = run("encode", tiny, tmp_path / "x.npy", "-o", tmp_path / "z.npy", "--resume")
    assert (done.returncode, b"was begun with another input: to start again" in done.stderr) == (1, True)
    done = run("encode", tiny, tmp_path / "x.npy", "-o", tmp_path / "z.npy")
    assert (done.returncode, b"add --resume to continue after them, or --force" in done.stderr) == (1, True)
    assert run("encode", tiny, tmp_path / "x.npy", "-o", tmp_path / "z.npy", "--force").returncode == 0
    assert names(tmp_path) == ["x.npy", "z.npy"]  # a job that starts again removes the rows that the other kept
    for arguments, status in [
        (["encode", tiny, tmp_path / "x.npy", "-o", "z.npz"], 1),
        (["encode", tiny, tmp_path / "x.npy", "-o", "-", "--format", "csv"], 1),
        (["encode", tiny, "-", "-o", "z.npy", "--format", "csv"], 1),
        (["sample", tiny, "-n", 3, "-o", "z.npy"], 2),
    ]:
        assert run(*arguments, "--resume", cwd=tmp_path, data=b"1,2,3,4,5\n").returncode == status


def test_a_full_disk_gives_one_line_no_debris(tmp_path: Path, tiny: Path, rows: Path) -> None:
    small_disk = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); {VERB}"
    for name in ("z.npy", "z.csv", "z.jsonl", "z.npz"):
        with start(small_disk, "encode", tiny, rows, "-o", tmp_path / name) as job:
            _, talk = job.communicate()
        assert job.returncode == 1
        assert talk.startswith(b"error: ")
        assert talk.endswith(b"cannot be written: File too large\n")
        assert names(tmp_path) == []


def test_a_reader_that_leaves_ends_the_job_quietly(tiny: Path, rows: Path) -> None:
    for verb, format in (("encode", "csv"), ("reconstruct", "npy"), ("encode", "jsonl")):
        with slow(verb, tiny, rows, "-o", "-", "--format", format) as job:
            assert job.stdout is not None
            assert job.stderr is not None
            assert len(job.stdout.read(100)) == 100
            job.stdout.close()
            assert job.stderr.read() == b""
        assert job.returncode == 1


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_ends_a_job_that_nobody_reads(tiny: Path, rows: Path, number: int, status: int) -> None:
    with slow("encode", tiny, rows, "-o", "-", "--format", "csv") as job:
        assert job.stdout is not None
        assert len(job.stdout.read(1)) == 1
        job.send_signal(number)
        assert job.wait(30) == status


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_ends_a_job_awaiting_input(tmp_path: Path, tiny: Path, number: int, status: int) -> None:
    with slow("encode", tiny, "-", "-o", tmp_path / "z.csv", "--format", "csv", stdin=True) as job:
        assert job.stdin is not None
        job.stdin.write(b"1,2,3,4,5\n" * 100_000)  # more than a pipe holds: once it is gone, the job reads
        job.send_signal(number)
        assert job.wait(30) == status
        job.stdin.close()
    assert names(tmp_path) == []


def test_a_failed_job_does_not_wait_for_input(tmp_path: Path, tiny: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 5)})
    with slow("encode", tiny, "-", "-o", tmp_path / "z.npy", "--format", "npy", stdin=True) as job:
        assert job.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it may have seen enough
            job.stdin.write(head.getvalue() + np.full((20_000, 5), np.nan, np.float32).tobytes())
        assert job.wait(30) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("signals", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_a_signal_at_any_step_ends_cleanly(tmp_path: Path, tiny: Path, x: np.ndarray, signals: int) -> None:
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", SIGNALLED, "encode", str(tiny), str(tmp_path / "x.npy"), "-o"]
    steps = int(
        subprocess.run(
            [*command, str(tmp_path / "z.npy")], env={**os.environ, "AT": "0 0"}, capture_output=True, check=True
        ).stdout
    )
    (tmp_path / "z.npy").unlink()
    for number, (signum, status) in enumerate(ENDINGS * (signals // 2)):
        at = 1 + number * steps // signals
        done = subprocess.run(
            [*command, str(tmp_path / "z.npy"), "--force"],
            capture_output=True,
            check=False,
            timeout=30,
            env={**os.environ, "AT": f"{at} {int(signum)}"},
        )
        assert (done.returncode, done.stderr) == (status, WORDS[status]), f"at step {at} of {steps}"
        assert names(tmp_path) in (["x.npy"], ["x.npy", "z.npy"])  # the last step comes after the rename


def test_progress_in_a_log_is_whole_lines(tmp_path: Path, tiny: Path, rows: Path) -> None:
    part = np.load(rows, mmap_mode="r")[: ROWS // 4]
    np.save(tmp_path / "part.npy", part)
    code = f"from aaptvae.cli import progress\nprogress.IN_LOG = 0.1\n{SLOWED}"
    command = [sys.executable, "-c", code, "encode", str(tiny), str(tmp_path / "part.npy"), "-o", str(tmp_path / "z.npy")]
    lines = subprocess.run(command, capture_output=True, check=True).stderr.decode().split("\n")
    assert len(lines) > 2 and lines.pop() == ""
    assert all(re.fullmatch(r"encode [\d,]+ rows, [\d,]+ rows/s, \d+%, \d+:\d\d:\d\d left", line) for line in lines), lines
    with Path("/dev/full").open("w") as full:
        subprocess.run([*command, "--force"], stderr=full, check=True)
    assert len(np.load(tmp_path / "z.npy", mmap_mode="r")) == len(part)


def test_progress_is_one_line_on_a_terminal(tmp_path: Path, tiny: Path, rows: Path) -> None:
    command = [sys.executable, "-c", SLOWED, "encode", str(tiny), str(rows), "-o", str(tmp_path / "z.npy")]
    for columns, last in ((80, " left"), (20, " row")):
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as job:
            shown = ""
            while shown.count("\x1b[K") < 3:
                shown += os.read(ours, 1 << 16).decode()
            job.terminate()
            assert job.communicate()[0] == b""
        os.close(theirs)
        os.close(ours)
        line = shown.split("\r\x1b[K")[1]
        assert line.startswith("encode ") and last in line and len(line) < columns


def test_a_job_survives_closing_its_terminal(tmp_path: Path, tiny: Path, rows: Path) -> None:
    ours, theirs = pty.openpty()
    part = np.load(rows, mmap_mode="r")[: ROWS // 4]
    np.save(tmp_path / "part.npy", part)
    command = [sys.executable, "-c", SLOWED, "encode", str(tiny), str(tmp_path / "part.npy"), "-o", str(tmp_path / "z.npy")]
    with subprocess.Popen(command, stderr=theirs, start_new_session=True) as job:
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)
        assert job.wait() == 0
    assert len(np.load(tmp_path / "z.npy", mmap_mode="r")) == len(part)


def test_a_terminal_is_never_read_or_sent_binary(tiny: Path, tmp_path: Path, x: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", x)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "aaptvae", "encode", str(tiny)]
    for arguments, message in [
        (["-", "-o", str(tmp_path / "z.npy"), "--format", "npy"], b"stdin is a terminal"),
        ([str(tmp_path / "x.npy"), "-o", "-", "--format", "npy"], b"stdout is a terminal"),
    ]:
        done = subprocess.run([*command, *arguments], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, message in done.stderr) == (1, True)
    os.close(theirs)
    os.close(ours)


HELD = """
import re, sys
from pathlib import Path
from aaptvae.cli import main
try:
    main()
finally:  # getrusage would begin at the peak of whoever started this process
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_memory_stays_flat_however_long_the_file(tmp_path: Path, tiny: Path, rows: Path) -> None:
    np.save(tmp_path / "short.npy", np.load(rows)[: ROWS // 3])
    np.save(tmp_path / "long.npy", np.tile(np.load(rows), (3, 1)))
    command = [sys.executable, "-c", HELD, "reconstruct", str(tiny)]
    peaks = [
        int(
            subprocess.run(
                [*command, str(path), "-o", str(tmp_path / "z.npy"), "--force"], capture_output=True, check=True
            ).stdout
        )
        for path in (tmp_path / "short.npy", tmp_path / "long.npy")
    ]
    assert peaks[1] - peaks[0] < (tmp_path / "long.npy").stat().st_size / 1024 / 4
