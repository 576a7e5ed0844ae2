"""Memory that stages need: refused before they begin, and, in continuous integration, measured."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae_training.memory import Need, needs_of_diagnosis, needs_of_evaluation, needs_of_training, refuse_shortage

from .conftest import options

minutes = pytest.mark.skipif("WIDE" not in os.environ, reason="trains on wide tables for minutes: make wide runs it")


def test_the_first_stage_that_needs_too_much_is_refused() -> None:
    needs = [Need("reading", {"rows": 1e9}), Need("training on", {"rows": 1e9, "network": 3e9})]
    refuse_shortage(iter(needs), 10, 20, usable=4e9)
    wanted = r"training on 10 rows of 20,000 columns needs about 4\.0 GB .* may use 3\.9 GB: choose a smaller --hidden-dim"
    with pytest.raises(InputError, match=wanted):
        refuse_shortage(iter(needs), 10, 20_000, usable=3.9e9)


def test_needs_grow_with_columns_not_with_their_square() -> None:
    least = min(sum(need.total for need in needs_of_training(500, width, options())) for width in (5_000, 10_000))
    for width in (5_000, 10_000, 20_000):
        total = sum(need.total for need in needs_of_training(500, width, options()))
        assert total < 1.2 * least * width / 5_000
    assert max(need.total for need in needs_of_diagnosis(64, 20_000)) < 1e9


def test_many_hidden_units_beside_all_columns_are_the_need() -> None:
    """Noise by column has no axes: the layers see every column."""
    needs = list(needs_of_training(500, 20_000, options(sigma="learned", hidden_dim=[4000])))
    with pytest.raises(InputError, match=r"training on 500 rows .* choose a smaller --hidden-dim"):
        refuse_shortage(iter(needs), 500, 20_000, usable=4e9)


def test_conditions_count_as_columns_do() -> None:
    """A category of 4,000 values beside 5,000 columns needs more than half as much again in each stage that holds rows."""
    plain, given = ({n.stage: n for n in needs_of_training(8_000, 5_000, options(), count)} for count in (0, 4_000))
    for stage in ("reading", "training on", "evaluating"):
        assert given[stage].parts["rows"] > 1.5 * plain[stage].parts["rows"]
    with pytest.raises(InputError, match=r"reading 8,000 rows .* give --condition columns of fewer values"):
        refuse_shortage(iter(given.values()), 8_000, 5_000, usable=plain["reading"].total)


def test_an_evaluation_needs_memory_for_its_rows() -> None:
    wanted = r"evaluating 20,000 rows of 20,000 columns needs about 16\.\d GB .* give fewer rows, or free memory"
    with pytest.raises(InputError, match=wanted):
        refuse_shortage(needs_of_evaluation(20_000, 20_000, 64), 20_000, 20_000, usable=8e9)


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="limits of the address space are read from /proc")
def test_a_table_too_large_for_the_process_is_refused(tmp_path: Path) -> None:
    """`ulimit -v` leaves less than the Gram matrix of 6,000 rows needs: one line, exit code 1, nothing killed."""
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (6000, 20_000)).flush()  # a sparse file
    command = f'ulimit -v 2000000; exec "{sys.executable}" -m aaptvae diagnose x.npy'
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: finding the axes of 6,000 rows of 20,000 columns needs about [\d.]+ GB of memory, and this process may use "
        r"[\d.]+ GB: give fewer rows, or fewer columns with --columns or --drop\n",
        done.stderr,
    )


PEAK = """
import re, sys
from pathlib import Path
import torch, torch._dynamo, onnxruntime
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e6
before = peak()
from aaptvae.cli.app import app
try:
    app.main(sys.argv[1:], standalone_mode=True)
except SystemExit as done:
    assert not done.code, done.code
print(before, peak())
"""


def peaks(*arguments: object) -> tuple[float, float]:
    """Peak resident memory in GB of a process with torch, and after it has run a command."""
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, arguments)], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split()[-2:])
    return before, after


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "width", "latents", "most"),
    [
        (64, 20_000, 8, 1.0),
        pytest.param(2_000, 20_000, 64, 3.0, marks=minutes),
        pytest.param(5_000, 5_000, 64, 3.0, marks=minutes),
    ],
)
def test_memory_of_wide_tables_stays_small(tmp_path: Path, rows: int, width: int, latents: int, most: float) -> None:
    """Counts; the bundle holds 4 bytes for each weight of its graphs and number of its prior, and 1 MB more."""
    import onnx  # noqa: PLC0415 - only here

    rng = np.random.default_rng(0)
    table = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (rows, width))
    loadings, rate = 0.25 * rng.standard_normal((10, width)), rng.standard_normal(width) - 1
    for start in range(0, rows, 250):
        part = table[start : start + 250]
        part[:] = rng.poisson(np.exp(rng.standard_normal((len(part), 10)) @ loadings + rate))
    del table, part
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    before, after = peaks("train", tmp_path / "x.npy", "-o", run, "--latent-dim", latents, "--epochs", 10)
    assert after - before < most
    assert peaks("export", run, "-o", bundle)[1] < 3
    weights = sum(int(np.prod(tensor.dims)) for graph in bundle.glob("*.onnx") for tensor in onnx.load(graph).graph.initializer)
    weights += sum(array.size for array in np.load(bundle / "prior.npz").values())
    assert sum(file.stat().st_size for file in bundle.iterdir()) < 4 * weights + 1e6
    assert peaks("score", bundle, tmp_path / "x.npy", "-o", tmp_path / "s.npy")[1] < 1.5
