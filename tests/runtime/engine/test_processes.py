"""One VAE in threads, processes and forks: equal bits, no output, no descriptor left open."""

import gc
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aaptvae
from aaptvae import BundleError, InputError
from aaptvae.engine.network import onnxruntime


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the default size, so that small, large and cut sessions are all in use."""
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    return make_tiny.write(tmp_path_factory.mktemp("wide"), make_tiny.make_files(make_tiny.weights(0, 512, 400, 256)))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((700, 512)).astype(np.float32)


@pytest.fixture(scope="module")
def alone(wide: Path, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """mu, logvar and reconstructions of one thread."""
    vae = aaptvae.load(wide, threads=1)
    mu, logvar = vae.encode(rows)
    return mu, logvar, vae.decode(mu)


def embed_elsewhere(vae: aaptvae.VAE, x: np.ndarray, queue: "multiprocessing.Queue[np.ndarray]") -> None:
    queue.put(vae.embed(x))


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 17, 26, 27, 64, 65, 257, 700])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_bits_do_not_depend_on_batch_or_threads(
    wide: Path, rows: np.ndarray, alone: tuple[np.ndarray, ...], rows_at_once: int, threads: int
) -> None:
    mu, logvar, x_hat = alone
    for vae in (
        aaptvae.load(wide, threads=threads, golden=False),
        aaptvae.load(wide, threads=threads, batch_size=rows_at_once, golden=False),
    ):
        for start in (0, 5):
            part = slice(start, start + rows_at_once)
            assert np.array_equal(vae.embed(rows[part]), mu[part])
            assert all(np.array_equal(a, b[part]) for a, b in zip(vae.encode(rows[part]), (mu, logvar), strict=True))
            assert np.array_equal(vae.decode(mu[part]), x_hat[part])
            assert np.array_equal(vae.reconstruct(rows[part]), x_hat[part])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pickled_vae_computes_the_same_bits(wide: Path, rows: np.ndarray, method: str) -> None:
    vae = aaptvae.load(wide, threads=2)
    expected = vae.embed(rows)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=embed_elsewhere, args=(vae, rows, queue))
    process.start()
    assert np.array_equal(queue.get(timeout=60), expected)
    process.join(60)
    assert process.exitcode == 0
    assert np.array_equal(vae.embed(rows), expected)


FORK = """
import gc, os, sys
import numpy as np, aaptvae
vae = aaptvae.load(sys.argv[1], threads=2)
x = np.zeros((700, 512), np.float32)
expected = vae.encode(x)[0]
child = os.fork()
same = np.array_equal(vae.embed(x), expected)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
sys.exit(0 if same else 1)
"""


def test_a_forked_child_computes_and_exits(wide: Path) -> None:
    subprocess.run([sys.executable, "-c", FORK, str(wide)], check=True, timeout=60)


def test_a_pickle_refuses_another_bundle(tiny: Path, tmp_path: Path, x: np.ndarray) -> None:
    copy = shutil.copytree(tiny, tmp_path / "copy")
    vae = aaptvae.load(copy, batch_size=7)
    data = pickle.dumps(vae)
    assert len(data) < 1000
    again = pickle.loads(data)  # noqa: S301 (our own bytes)
    assert again.batch_size == 7 and np.array_equal(again.embed(x), vae.embed(x))
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    make_tiny.write(copy, make_tiny.make_files(make_tiny.weights(9)))
    with pytest.raises(BundleError, match="another bundle than the pinned one"):
        pickle.loads(data)  # noqa: S301
    with pytest.raises(InputError, match="session_options cannot be pickled"):
        pickle.dumps(aaptvae.load(tiny, session_options=onnxruntime().SessionOptions()))


QUIET = """
import sys, threading
import numpy as np, aaptvae
before = threading.active_count()
vae = aaptvae.load(sys.argv[1])
x = np.ones((3, 5), np.float32)
vae.encode(x); vae.sample(3, seed=0, observation_noise=True); vae.score(x); vae.log_likelihood(x, 4)
for hostile in (np.ones((1, 4)), "x"):
    try:
        vae.encode(hostile)
    except aaptvae.InputError:
        pass
assert threading.active_count() == before
"""


def test_nothing_is_printed_or_written(tiny: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", QUIET, str(tiny.resolve())],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(home.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_loading_leaves_no_descriptor_open_refused_or_not(tiny: Path, tmp_path: Path) -> None:
    aaptvae.load(tiny)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        aaptvae.load(tiny)
        for bad in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(BundleError):
                aaptvae.load(bad)
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_loading_imports_no_unneeded_slow_module(tiny: Path) -> None:
    code = "import sys, aaptvae; aaptvae.load(sys.argv[1]).encode([[0.0] * 5]); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code, str(tiny)], capture_output=True, text=True, check=True)
    slow = {"numpy.random", "numpy.ma", "importlib.metadata", "click", "asyncio", "ctypes.util"}
    assert not slow & set(result.stdout.split())
