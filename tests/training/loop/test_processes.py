"""Several processes under torchrun: the outcome of one, sums that lose nothing, and one writer."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch.distributed as dist
from forked import together

import aaptvae
from aaptvae_export import export
from aaptvae_training import read_run
from aaptvae_training.loop.processes import join

from ..conftest import conditioned, features_of, metrics_of, options, saved, train

TRAIN = """
import gc, json, sys, torch
from pathlib import Path
gc.disable()  # what is freed must not depend on when it collects
from aaptvae_training.loop import batches
from aaptvae_training.config import make_config
from aaptvae_training.train_run import train
batches.BLOCK_BYTES = 4096
if sys.argv[4] == "streamed":
    batches.RESIDENT_BYTES = 0
train(Path(sys.argv[1]), Path(sys.argv[2]), make_config(json.loads(sys.argv[3])), report=False)
threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in threads if "gloo" in name], threads  # one of those at the interpreter's end is an abort
"""
SUM = """
import sys, torch
from aaptvae_training.loop.processes import join
with join("cpu") as world:
    mine = torch.arange(world.rank, 1001, world.size, dtype=torch.float64)
    total, count = world.total((mine + 1e9).sum(), torch.tensor(float(len(mine))))
    assert total == 1001 * 1e9 + 500500 and count == 1001, (total, count)
    assert world.any(world.rank == 1) and not world.any(False)
    assert world.leads == (world.rank == 0)
"""


def pair(code: str, *arguments: object) -> None:
    """Two CPU processes of the same code, with the variables that torchrun sets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    together([place | {"RANK": rank} for rank in "01"], code, *arguments)


def torchrun(folder: Path, code: str, *arguments: object) -> None:
    """The same by torchrun, which imports torch three times."""
    folder.mkdir(exist_ok=True)
    (folder / "command.py").write_text(code)
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, folder / "command.py", *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def flags(config) -> str:
    return msgspec.json.encode(config).decode()


def test_a_process_group_of_the_caller_stays(tmp_path):
    """Ray makes the group before it calls a training."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        with join("cpu") as world:
            assert (world.rank, world.size) == (0, 1)
        assert dist.is_initialized()
    finally:
        dist.destroy_process_group()


def test_sums_over_processes_are_exact():
    pair(SUM)


@pytest.mark.parametrize("source", ["resident", pytest.param("streamed", marks=pytest.mark.slow)])
def test_two_processes_reach_what_one_reaches(tmp_path, source):
    """Validation ELBO within 0.15 nats after every epoch: the same weights at first, other noise and other sums after."""
    rows = saved(tmp_path, features_of(901))  # does not divide by two
    config = options(epochs=12, patience=1.0)
    train(rows, tmp_path / "one", config)
    pair(TRAIN, rows, tmp_path / "two", flags(config), source)
    one, two = ([line["validation_elbo"] for line in metrics_of(tmp_path / name)] for name in ("one", "two"))
    np.testing.assert_allclose(two, one, atol=0.15)
    assert len(two) == 13 and len(set(two)) == 13
    names = [sorted(path.name for path in (tmp_path / name).rglob("*")) for name in ("one", "two")]
    assert names[0] == names[1]
    assert not list(tmp_path.glob(".*"))
    assert np.isfinite(list(read_run(tmp_path / "two").summary.metrics.values())).all()


LEADING = """
import sys
from aaptvae.errors import AaptvaeError, InputError
from aaptvae_training.loop.processes import join
def refuse():
    raise InputError("no")
said = []
with join("cpu") as world:
    world.leading(lambda: said.append(world.rank))
    try:
        world.leading(refuse)
    except AaptvaeError as error:
        said.append(str(error))
    world.wait()
    assert said == ([0, "no"] if world.leads else ["the first process has stopped: see its error"]), said
"""


def test_an_error_of_the_first_process_stops_all():
    pair(LEADING)


@pytest.mark.slow
def test_probabilities_train_in_two_processes(tmp_path):
    """Every parameter of a Bernoulli model has a gradient, or the second step would never come."""
    rows = saved(tmp_path, 1 / (1 + np.exp(3 - features_of(103))))
    torchrun(tmp_path, TRAIN, rows, tmp_path / "run", flags(options(likelihood="bernoulli", epochs=2)), "resident")
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["epochs"] == 2


@pytest.mark.slow
def test_conditions_train_in_two_processes(tmp_path):
    """Each process reads the conditions itself; the run is exported and encodes the table."""
    table = conditioned(203)
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    config = options(condition=["kind"], epochs=2)
    torchrun(tmp_path, TRAIN, tmp_path / "x.csv", tmp_path / "run", flags(config), "resident")
    vae = aaptvae.load(export(tmp_path / "run", tmp_path / "bundle").path)
    assert vae.embed(table).shape == (203, 3) and vae.conditions == ("kind",)
