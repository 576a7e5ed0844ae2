"""Reports on a bundle: whole, computing what it should, and how fast."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from aaptvae import BundleError, ProviderError
from aaptvae.bench import bench
from aaptvae.bundle.golden import Golden
from aaptvae.bundle.npz import write_npz
from aaptvae.bundle.reading import read_bundle
from aaptvae.verify import verify

UNIT = np.ones(5)


def test_a_valid_bundle_passes_with_a_report(tiny: Path) -> None:
    report = verify(tiny)
    assert report.passed and report.name == "tiny" and report.files == 7
    assert report.digest == read_bundle(tiny).digest
    (fp32,) = report.precisions
    assert fp32.precision == "fp32" and fp32.providers == ("CPUExecutionProvider",)
    assert [(replay.tensor, replay.rows) for replay in fp32.replays] == [
        ("mu", 9),
        ("logvar", 9),
        ("reconstruction", 6),
    ]
    assert all(0 <= replay.difference <= replay.tolerance == 1e-5 for replay in fp32.replays)


def test_damaged_bundles_and_inactive_providers_are_errors(tiny: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    (copy / "prior.npz").write_bytes(b"")
    with pytest.raises(BundleError, match=r"prior.npz is not the file the manifest describes"):
        verify(copy)
    with pytest.raises(ProviderError, match="CUDAExecutionProvider is not active"):
        verify(tiny, providers=["CUDAExecutionProvider"])


@pytest.mark.parametrize("name", ["mu", "logvar", "reconstruction"])
def test_a_wrong_tensor_fails_the_replay_alone(tiny: Path, name: str) -> None:
    bundle = read_bundle(tiny)
    arrays = dict(Golden.read(bundle.files["golden.npz"], bundle.manifest, UNIT).arrays)
    wrong = Golden(arrays | {name: arrays[name] + np.float32(0.5)}, 6, UNIT)
    good = {key: np.asarray(value, np.float32) for key, value in arrays.items()}
    replays = wrong.replay(lambda *_: (good["mu"], good["logvar"]), lambda *_: good["reconstruction"], "fp32")
    assert [replay.tensor for replay in replays if not replay.passed] == [name]


def test_a_huge_row_does_not_raise_the_tolerance(tiny: Path) -> None:
    bundle = read_bundle(tiny)
    arrays = dict(Golden.read(bundle.files["golden.npz"], bundle.manifest, UNIT).arrays)
    mu, logvar, x_hat = (np.asarray(arrays[key], np.float32) for key in ("mu", "logvar", "reconstruction"))
    huge, ordinary = np.argsort(np.abs(mu).max(axis=1))[[-1, 0]]
    mu = mu.copy()
    mu[huge] = 1e4
    shifted = mu.copy()
    shifted[ordinary] += np.float32(1e-3)
    golden = Golden(arrays | {"mu": mu}, 6, UNIT)
    assert all(replay.passed for replay in golden.replay(lambda *_: (mu, logvar), lambda *_: x_hat, "fp32"))
    replays = golden.replay(lambda *_: (shifted, logvar), lambda *_: x_hat, "fp32")
    assert [replay.tensor for replay in replays if not replay.passed] == ["mu"]


@pytest.mark.parametrize(("narrow", "failed"), [(-0.5, ["mu"]), (-10.0, [])])
def test_narrow_posteriors_have_a_larger_tolerance(tiny: Path, narrow: float, failed: list[str]) -> None:
    bundle = read_bundle(tiny)
    arrays = dict(Golden.read(bundle.files["golden.npz"], bundle.manifest, UNIT).arrays)
    mu, x_hat = (np.asarray(arrays[key], np.float32) for key in ("mu", "reconstruction"))
    mu, logvar = mu / np.abs(mu).max(), np.full_like(mu, narrow)
    golden = Golden(arrays | {"mu": mu, "logvar": logvar}, 6, UNIT)
    replays = golden.replay(lambda *_: (mu + np.float32(5e-5), logvar), lambda *_: x_hat, "fp32")
    assert [replay.tensor for replay in replays if not replay.passed] == failed


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_reduced_precision_may_round_but_not_diverge(tiny: Path, precision: str) -> None:
    bundle = read_bundle(tiny)
    golden = Golden.read(bundle.files["golden.npz"], bundle.manifest, UNIT)
    mu, logvar, x_hat = (np.asarray(golden.arrays[key], np.float32)[:6] for key in ("mu", "logvar", "reconstruction"))

    def passed(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[bool]:
        return [replay.passed for replay in golden.replay(lambda *_: (a, b), lambda *_: c, precision)]  # type: ignore[arg-type]

    assert passed(mu * np.float32(1.01), logvar, x_hat) == [True, True, True]
    assert passed(logvar, mu, -x_hat) == [False, False, False]
    assert passed(mu * np.nan, logvar, x_hat) == [False, True, True]


@pytest.mark.parametrize(
    "change",
    [
        {"real_rows": np.array([0])},
        {"real_rows": np.array([10])},
        {"real_rows": np.array([1, 2])},
        {"mu": np.zeros((8, 2), np.float32)},
        {"x": np.zeros((9, 4), np.float32)},
        {"z": np.zeros((0, 2), np.float32), "reconstruction": np.zeros((0, 5), np.float32)},
        {"x": np.zeros((9, 5, 1), np.float32)},
        {"mu": np.full((9, 2), np.nan, np.float32)},
    ],
)
def test_golden_vectors_must_fit_the_manifest(tiny: Path, change: dict[str, np.ndarray]) -> None:
    bundle = read_bundle(tiny)
    arrays = Golden.read(bundle.files["golden.npz"], bundle.manifest, UNIT).arrays
    with pytest.raises(BundleError, match=r"golden.npz"):
        Golden.read(write_npz(arrays | change), bundle.manifest, UNIT)


def test_bench_times_every_batch_size(tiny: Path) -> None:
    timings = bench(tiny, batches=(1, 20_000), threads=1)
    assert [(timing.precision, timing.rows) for timing in timings] == [("fp32", 1), ("fp32", 20_000)]
    for timing in timings:
        assert 0 < timing.p50 <= timing.p99 and 0 < timing.bare_p50 <= timing.bare_p99 and timing.calls >= 5
        assert timing.rows_per_second == pytest.approx(timing.rows / timing.p50 * 1e6)
        assert timing.bare_rows_per_second > 0
