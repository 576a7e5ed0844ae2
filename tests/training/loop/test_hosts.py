"""A training on two hosts, as two network namespaces of this machine: one host dies, both resume, and the bits are the same.

It needs root and the program `ip`, and takes a minute: `make hosts`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ..conftest import features_of

pytestmark = pytest.mark.skipif("HOSTS" not in os.environ, reason="needs root: make hosts")

ADDRESSES = ("10.77.0.1", "10.77.0.2")
HOSTS = ("aaptvae-a", "aaptvae-b")
TIMED = {"report.html"}  # holds seconds


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """Two hosts with one cable."""
    assert os.geteuid() == 0 and shutil.which("ip"), "needs root and iproute2"
    for host in HOSTS:
        ip("netns", "add", host)
    try:
        ip("link", "add", "cable", "netns", HOSTS[0], "type", "veth", "peer", "name", "cable", "netns", HOSTS[1])
        for host, address in zip(HOSTS, ADDRESSES, strict=True):
            ip("-n", host, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", host, "link", "set", "cable", "up")
            ip("-n", host, "link", "set", "lo", "up")
        yield
    finally:
        for host in HOSTS:
            ip("netns", "delete", host)


def start(rank: int, rows: Path, run: Path, *options: str) -> subprocess.Popen[bytes]:
    """One host's half of a training."""
    command = ["ip", "netns", "exec", HOSTS[rank], sys.executable, "-m", "torch.distributed.run", "--nnodes=2"]
    command += [f"--node-rank={rank}", "--nproc-per-node=1", f"--master-addr={ADDRESSES[0]}", "--master-port=29500"]
    command += [f"--local-addr={ADDRESSES[rank]}", "--max-restarts=0", "-m", "aaptvae", "train", str(rows), "-o", str(run)]
    command += ["--latent-dim", "3", "--hidden-dim", "8", "--epochs", "40", "--threads", "1", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable"}
    with run.with_suffix(f".{rank}.log").open("w") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def train(rows: Path, run: Path, *options: str) -> None:
    """A training on both hosts, to its end."""
    processes = [start(rank, rows, run, *options) for rank in (0, 1)]
    assert [process.wait(600) for process in processes] == [0, 0], run.with_suffix(".0.log").read_text()[-3000:]


def epochs(run: Path) -> int:
    return len(file.read_text().splitlines()) if (file := run / "metrics.jsonl").exists() else 0


def files(run: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name not in TIMED}


@pytest.mark.usefixtures("network")
def test_a_lost_host_costs_no_bits(tmp_path: Path) -> None:
    """Every file of the run is that of a training without the loss."""
    np.save(tmp_path / "rows.npy", features_of(4000, 12, 3))
    train(tmp_path / "rows.npy", tmp_path / "whole")
    first, second = (start(rank, tmp_path / "rows.npy", tmp_path / "broken") for rank in (0, 1))
    while epochs(tmp_path / "broken") < 4:
        assert first.poll() is None, (tmp_path / "broken.0.log").read_text()[-3000:]
        time.sleep(0.01)
    for process in ip("netns", "pids", HOSTS[1]).split():
        os.kill(int(process), signal.SIGKILL)
    assert second.wait(60) != 0 and first.wait(600) != 0
    assert epochs(tmp_path / "broken") < 40
    train(tmp_path / "rows.npy", tmp_path / "broken", "--resume")
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
