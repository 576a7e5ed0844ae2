"""The bits of a row's results do not depend on other rows, threads, the number of calls, or the interface."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import aaptvae

STATM = Path("/proc/self/statm")
CALLS = 20_000


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for sessions of one and of many threads, chunks in company and graphs cut to be in use."""
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    return make_tiny.write(tmp_path_factory.mktemp("wide"), make_tiny.make_files(make_tiny.weights(1, 512, 400, 256)))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((1_500, 512)).astype(np.float32)


@pytest.fixture(scope="module")
def alone(wide: Path, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """mu and logvar of the first rows, one by one, and reconstructions."""
    vae = aaptvae.load(wide, threads=1, golden=False)
    one_by_one = vae.encode_batches(rows[i : i + 1] for i in range(99))
    mu, logvar = (np.concatenate(parts) for parts in zip(*one_by_one, strict=True))
    return mu, logvar, vae.decode(mu[:9])


@pytest.mark.parametrize("batch_size", [None, 17, 64])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_chunks_on_threads_equal_single_rows(
    wide: Path, rows: np.ndarray, alone: tuple[np.ndarray, ...], batch_size: int | None, threads: int
) -> None:
    mu, logvar, decoded = alone
    vae = aaptvae.load(wide, threads=threads, batch_size=batch_size, golden=False)
    out = (np.zeros((len(rows), 256), np.float32), np.zeros((len(rows), 512), np.float32)[:, ::2])
    for got in (vae.encode(rows), vae.encode(rows.astype(np.float64)), vae.encode(rows, out=out)):
        assert np.array_equal(got[0][:99], mu) and np.array_equal(got[1][:99], logvar)
        assert np.array_equal(got[0], vae.embed(rows))
    whole = vae.encode(rows)[0]
    assert np.array_equal(vae.decode(whole)[:9], decoded)


def test_the_first_bad_row_is_named(wide: Path, rows: np.ndarray) -> None:
    vae = aaptvae.load(wide, threads=3, batch_size=64, golden=False)
    before, bad = threading.active_count(), rows.copy()
    bad[70, 3] = bad[130, 4] = bad[1_400, 5] = np.nan
    for _ in range(20):
        with pytest.raises(aaptvae.InputError, match="nan at row 70, column 3"):
            vae.encode(bad)
    assert threading.active_count() <= before + 2  # they wait for the next call


@pytest.mark.parametrize("calls", [200, pytest.param(1_000, marks=pytest.mark.slow)])
def test_eight_threads_of_many_calls_compute_equal_bits(wide: Path, rows: np.ndarray, calls: int) -> None:
    vae = aaptvae.load(wide, threads=2, batch_size=64)
    mu, logvar = vae.encode(rows)
    x_hat, wrong = vae.decode(mu), list[object]()

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for number in range(calls):
            start = int(rng.integers(0, 1_000))
            part = slice(start, start + (int(rng.integers(0, 4)) if (number + 1) % 200 else 400))
            verb = number % 4
            if verb == 0:
                same = np.array_equal(vae.embed(rows[part]), mu[part])
            elif verb == 1:
                same = np.array_equal(vae.decode(mu[part]), x_hat[part])
            elif verb == 2:
                same = np.array_equal(vae.encode(rows[part])[1], logvar[part])
            else:
                same = np.array_equal(vae.reconstruct(rows[part]), x_hat[part])
            if not same:
                wrong.append((seed, number, part))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_results_of_one_row_are_not_changed_by_the_next(wide: Path, rows: np.ndarray) -> None:
    vae = aaptvae.load(wide, threads=1)
    mu, logvar = vae.encode(rows[:64])
    held = [vae.encode(rows[i : i + 1]) for i in range(64)]
    assert np.array_equal(np.concatenate([pair[0] for pair in held]), mu)
    assert np.array_equal(np.concatenate([pair[1] for pair in held]), logvar)
    for value, problem in ((np.nan, "nan at row 0, column 5"), (3e38, "row 0 is too large")):
        bad = rows[:1].copy()
        bad[0, 5:] = value
        with pytest.raises(aaptvae.InputError, match=problem):
            vae.encode(bad)
        assert np.array_equal(vae.embed(rows[:1]), mu[:1])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="sends itself signals by a timer")
def test_a_signal_handler_may_encode_while_one_row_is_encoded(wide: Path, rows: np.ndarray) -> None:
    vae, handled = aaptvae.load(wide, threads=1), list[np.ndarray]()
    expected = vae.embed(rows[:64])
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(vae.embed(rows[1:2])))
    try:
        for number in range(1_000):
            signal.setitimer(signal.ITIMER_REAL, 1e-5 + number % 50 * 2e-6)
            assert np.array_equal(vae.embed(rows[:1]), expected[:1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled and all(np.array_equal(result, expected[1:2]) for result in handled)


@pytest.mark.parametrize("options", [[], ["--threads", "1"], ["--threads", "3", "--batch-size", "17"]])
def test_the_command_line_writes_the_same_bits(wide: Path, rows: np.ndarray, tmp_path: Path, options: list[str]) -> None:
    np.save(tmp_path / "x.npy", rows)
    files = {name: str(tmp_path / f"{name}.npy") for name in ("x", "mu", "logvar")}
    verb = [sys.executable, "-m", "aaptvae", "encode"]
    subprocess.run([*verb, wide, files["x"], "-o", files["mu"], "--logvar", files["logvar"], *options], check=True)
    for name, expected in zip(("mu", "logvar"), aaptvae.load(wide, threads=2).encode(rows), strict=True):
        assert np.array_equal(np.load(files[name]), expected)


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads resident memory in /proc")
def test_memory_does_not_grow_with_calls(tiny: Path, x: np.ndarray) -> None:
    """A tenth of the 200,000 calls of `tests/benchmarks/soak.py`: a leak of 400 bytes a call would show."""
    vae = aaptvae.load(tiny, threads=2)
    verbs = [vae.embed, vae.encode, vae.reconstruct, lambda part: vae.sample(len(part), seed=1), vae.score]

    def calls(count: int) -> int:
        for number in range(count):
            verbs[number % 4 if number % 50 else 4](x[: number % 37])
        return int(STATM.read_text().split()[1]) * 4096

    early = calls(CALLS // 4)
    assert calls(CALLS) - early < 8e6
