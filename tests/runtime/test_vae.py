"""The runtime API on the tiny bundle: shapes, equalities, and words for what is refused."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import aaptvae
from aaptvae import InputError, ProviderError
from aaptvae.density.divergence import kl_divergence
from aaptvae.density.observation import ObservationModel
from aaptvae.engine.network import onnxruntime

VERBS = ["encode", "embed", "decode", "reconstruct"]


def call(vae: aaptvae.VAE, verb: str, rows: np.ndarray, **options: object) -> tuple[np.ndarray, ...]:
    result = getattr(vae, verb)(rows[:, :2] if verb == "decode" else rows, **options)
    return result if isinstance(result, tuple) else (result,)


def test_every_verb_takes_rows_and_gives_float32_rows(vae: aaptvae.VAE, x: np.ndarray) -> None:
    mu, logvar = vae.encode(x)
    assert mu.shape == logvar.shape == (300, 2) and mu.dtype == logvar.dtype == np.float32
    for result, width in [
        (vae.embed(x), 2),
        (vae.decode(mu), 5),
        (vae.reconstruct(x), 5),
        (vae.sample(300), 5),
        (vae.reparameterize(mu, logvar), 2),
    ]:
        assert result.shape == (300, width) and result.dtype == np.float32 and result.flags.c_contiguous
    assert vae.interpolate(x[:3], x[3:6], steps=4).shape == (15, 5)
    assert (vae.input_dim, vae.latent_dim, vae.manifest.name) == (5, 2, "tiny")
    assert vae.providers == ["CPUExecutionProvider"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 300])
def test_any_number_of_rows_gives_equal_bits(vae: aaptvae.VAE, x: np.ndarray, verb: str, rows: int) -> None:
    for got, whole in zip(call(vae, verb, x[:rows]), call(vae, verb, x), strict=True):
        assert np.array_equal(got, whole[:rows])


@pytest.mark.parametrize("batch_size", [1, 3, 64, 100, 1000])
@pytest.mark.parametrize("threads", [1, 2])
def test_batch_size_and_threads_change_no_bit(
    tiny: Path, vae: aaptvae.VAE, x: np.ndarray, batch_size: int, threads: int
) -> None:
    other = aaptvae.load(tiny, batch_size=batch_size, threads=threads)
    assert other.batch_size == batch_size
    for verb in VERBS:
        for got, expected in zip(call(other, verb, x), call(vae, verb, x), strict=True):
            assert np.array_equal(got, expected)
    for got, expected in zip(other.score(x), vae.score(x), strict=True):
        assert np.array_equal(got, expected, equal_nan=True)
    for verb in ("sample", "log_likelihood"):
        args = (300,) if verb == "sample" else (x, 5)
        assert np.array_equal(getattr(other, verb)(*args, seed=3), getattr(vae, verb)(*args, seed=3))


def test_samples_do_not_depend_on_their_number(vae: aaptvae.VAE) -> None:
    for options in ({}, {"prior": "standard"}, {"observation_noise": True}, {"temperature": 0.5}):
        whole = vae.sample(1000, seed=7, **options)  # type: ignore[arg-type]
        assert np.array_equal(vae.sample(10, seed=7, **options), whole[:10])  # type: ignore[arg-type]
    assert not np.array_equal(vae.sample(5), vae.sample(5))


def test_a_range_draws_those_rows_of_the_sample(vae: aaptvae.VAE) -> None:
    whole = vae.sample(300, seed=7, observation_noise=True)
    for stretch in (range(10), range(63, 200), range(299, 300), range(5, 5)):
        assert np.array_equal(vae.sample(stretch, seed=7, observation_noise=True), whole[stretch.start : stretch.stop])
    with pytest.raises(InputError, match="expected a range of rows from 0 up"):
        vae.sample(range(0, 10, 2))


def test_reparameterize_adds_seeded_noise(vae: aaptvae.VAE, x: np.ndarray) -> None:
    mu, logvar = vae.encode(x)
    z = vae.reparameterize(mu, logvar, seed=1)
    assert np.array_equal(vae.reparameterize(mu[:3], logvar[:3], seed=1), z[:3])
    noise = (z - mu) / np.exp(logvar / 2)
    assert abs(noise.mean()) < 0.15 and abs(noise.std() - 1) < 0.15
    assert np.array_equal(vae.reparameterize(mu, np.full_like(logvar, -300), seed=1), mu)
    with pytest.raises(InputError, match="mu has 300 rows and logvar 2"):
        vae.reparameterize(mu, logvar[:2])


def test_interpolation_ends_at_the_reconstructions(vae: aaptvae.VAE, x: np.ndarray) -> None:
    for path in ("linear", "slerp"):
        steps = vae.interpolate(x[:1], x[1:2], steps=8, path=path)  # type: ignore[arg-type]
        assert steps.shape == (9, 5)
        assert np.array_equal(steps[[0, -1]], vae.reconstruct(x[:2]))
    with pytest.raises(InputError, match="a has 1 rows and b 2"):
        vae.interpolate(x[:1], x[:2])


@pytest.mark.parametrize("verb", VERBS)
def test_results_are_written_to_out_memmaps_included(tiny: Path, tmp_path: Path, x: np.ndarray, verb: str) -> None:
    vae = aaptvae.load(tiny, batch_size=64)
    np.save(tmp_path / "x.npy", x.astype(np.float64))
    source = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = call(vae, verb, x)
    places = tuple(
        np.lib.format.open_memmap(tmp_path / f"{n}.npy", "w+", np.float32, part.shape) for n, part in enumerate(expected)
    )
    got = call(vae, verb, source, out=places if verb == "encode" else places[0])
    for place, result, wanted in zip(places, got, expected, strict=True):
        assert result is place and np.array_equal(place, wanted)
    strided = np.zeros((300, 20), np.float32)[:, ::2]
    part = strided[:, : expected[0].shape[1]]
    call(vae, verb, x, out=(part, np.empty_like(part)) if verb == "encode" else part)
    assert np.array_equal(part, expected[0])


def test_encode_batches_is_lazy(vae: aaptvae.VAE, x: np.ndarray) -> None:
    stream = vae.encode_batches(iter([x[:10], x[10:30], x[:0]]))
    for rows, (mu, logvar) in zip((slice(0, 10), slice(10, 30), slice(0, 0)), stream, strict=True):
        assert np.array_equal(mu, vae.encode(x)[0][rows]) and np.array_equal(logvar, vae.encode(x)[1][rows])


def test_a_score_depends_on_its_row_only(vae: aaptvae.VAE, x: np.ndarray) -> None:
    scores = vae.score(x)
    assert scores._fields == ("reconstruction_error", "kl_divergence", "elbo", "p_value")
    for got, whole in zip(vae.score(x[200:201]), scores, strict=True):
        assert np.array_equal(got, whole[200:201], equal_nan=True)
    mu, logvar = vae.encode(x)
    np.testing.assert_allclose(scores.kl_divergence, kl_divergence(mu, logvar))
    residual = (x.astype(np.float64) - vae.decode(mu)) / np.linspace(0.5, 2, 5)
    np.testing.assert_allclose(scores.reconstruction_error, (residual**2).mean(axis=1))


def test_more_samples_tighten_the_bound(vae: aaptvae.VAE, x: np.ndarray) -> None:
    elbo = np.mean([vae.log_likelihood(x, samples=1, seed=seed).mean() for seed in range(50)])
    assert elbo == pytest.approx(vae.score(x).elbo.mean(), rel=0.05)
    bounds = [vae.log_likelihood(x, samples=k, seed=0).mean() for k in (1, 8, 64)]
    assert bounds[0] < bounds[1] < bounds[2]


def test_the_likelihood_of_a_linear_gaussian_is_exact(x: np.ndarray, tmp_path: Path) -> None:
    """With the exact posterior as encoder every importance weight and the ELBO are p(x) itself."""
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    rng = np.random.default_rng(0)
    w, sigma = rng.standard_normal((5, 2)), 0.7
    inverse = np.linalg.inv(w.T @ w + sigma**2 * np.eye(2))
    posterior = sigma**2 * np.eye(2) @ inverse
    rotation = np.linalg.eigh(posterior)[1]  # in these axes the exact posterior is diagonal
    w, variances = w @ rotation, np.linalg.eigvalsh(posterior)
    weights = {name: np.zeros_like(value) for name, value in make_tiny.weights(0).items()}
    weights["mu_skip.w"] = np.linalg.solve(w.T @ w + sigma**2 * np.eye(2), w.T).astype(np.float32)
    weights["out_skip.w"], weights["logvar.b"] = w.astype(np.float32), np.log(variances).astype(np.float32)
    observation = ObservationModel("gaussian", np.zeros(5), np.ones(5), np.array([sigma]))
    vae = aaptvae.load(make_tiny.write(tmp_path / "linear", make_tiny.make_files(weights, observation=observation)))
    covariance = w @ w.T + sigma**2 * np.eye(5)
    exact = -0.5 * (np.einsum("ni,ij,nj->n", x, np.linalg.inv(covariance), x) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    np.testing.assert_allclose(vae.log_likelihood(x, samples=1, seed=0), exact, rtol=1e-4)
    np.testing.assert_allclose(vae.log_likelihood(x, samples=16, seed=1), exact, rtol=1e-4)
    np.testing.assert_allclose(vae.score(x, pairs=1).elbo, exact, rtol=1e-4)


SHARED = np.ones((3, 2), np.float32)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "int8"}, "precision is 'int8': expected fp32"),
        ({"threads": 0}, "threads is 0: expected an integer from 1 up"),
        ({"threads": True}, "threads is True"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"threads": 1, "session_options": object()}, "threads and session_options were both given"),
    ],
)
def test_options_without_sense_are_refused(tiny: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        aaptvae.load(tiny, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "NoSuchProvider", ("OpenVINOExecutionProvider", {})])
def test_an_inactive_provider_is_an_error(tiny: Path, provider: str) -> None:
    with pytest.raises(ProviderError, match="is not active: expected one of"):
        aaptvae.load(tiny, providers=[provider, "CPUExecutionProvider"])


def test_session_options_are_used_as_given(tiny: Path, vae: aaptvae.VAE, x: np.ndarray, tmp_path: Path) -> None:
    options = onnxruntime().SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    profiled = aaptvae.load(tiny, session_options=options)
    assert np.array_equal(profiled.embed(x), vae.embed(x))
    del profiled
    gc.collect()
    assert list(tmp_path.glob("profile*"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda vae: vae.encode(np.ones((1, 4))), "x has 4 columns: this bundle takes 5"),
        (lambda vae: vae.decode(np.ones((1, 5))), "z has 5 columns: this bundle takes 2"),
        (lambda vae: vae.reconstruct(np.full((70, 5), np.nan)), "x has nan at row 0, column 0"),
        (lambda vae: vae.score([[1, 2, 3, 4, np.inf]]), "x has inf at row 0, column 4"),
        (lambda vae: vae.sample(-1), "n is -1"),
        (lambda vae: vae.sample(2.0), "n is 2.0"),
        (lambda vae: vae.sample(1, prior="best"), 'expected "fitted" or "standard"'),
        (lambda vae: vae.sample(1, seed="a"), "seed is 'a'"),
        (lambda vae: vae.log_likelihood(np.ones((1, 5)), 0), "samples is 0: expected an integer from 1 up"),
        (lambda vae: vae.score(np.ones((1, 5)), pairs=2.0), "pairs is 2.0"),
        (lambda vae: vae.interpolate(np.ones((1, 5)), np.ones((1, 5)), steps=2.5), "steps is 2.5"),
        (lambda vae: vae.sample(1, temperature="1"), "temperature is '1': expected 0 to 1e"),
        (lambda vae: vae.sample(1, temperature=np.nan), "temperature is nan"),
        (lambda vae: vae.encode(np.ones((1, 5)), out=[np.empty((1, 2), np.float32)] * 2), "or another output"),
        (lambda vae: vae.reparameterize(SHARED, SHARED, out=SHARED), "out overlaps an input"),
        (
            lambda vae: vae.encode(np.ones((1, 5)), out=np.empty((1, 2), np.float32)),
            "out is a ndarray: expected two arrays",
        ),
    ],
)
def test_bad_arguments_are_refused_with_words(vae: aaptvae.VAE, call: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(vae)  # type: ignore[operator]


def test_a_bad_value_is_named_by_its_row(tiny: Path) -> None:
    x = np.zeros((500, 5))
    x[321, 3] = np.nan
    with pytest.raises(InputError, match="x has nan at row 321, column 3"):
        aaptvae.load(tiny, batch_size=64).encode(x)


def test_correlated_noise_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((48, 48)))[0]
    observation = ObservationModel("gaussian", np.zeros(48), np.ones(48), np.linspace(0.1, 1, 48), basis)
    bundle = make_tiny.write(tmp_path / "b", make_tiny.make_files(make_tiny.weights(0, 48, 40, 17), None, observation))
    x = rng.standard_normal((200, 48)).astype(np.float32)
    vae = aaptvae.load(bundle)
    scores, logp = vae.score(x), vae.log_likelihood(x, 8, seed=1, prior="fitted")
    new = vae.sample(200, seed=1, observation_noise=True)
    for other in (aaptvae.load(bundle, batch_size=1), aaptvae.load(bundle, batch_size=77)):
        for rows in (1, 2, 65, 200):
            for got, whole in zip(other.score(x[:rows]), scores, strict=True):
                assert np.array_equal(got, whole[:rows], equal_nan=True)
            assert np.array_equal(other.log_likelihood(x[:rows], 8, seed=1, prior="fitted"), logp[:rows])
            assert np.array_equal(other.sample(rows, seed=1, observation_noise=True), new[:rows])


def overflowing(vae: aaptvae.VAE) -> dict[str, Callable[[np.ndarray], object]]:
    return {
        "score": vae.score,
        "reconstruct": vae.reconstruct,
        "log_likelihood": lambda x: vae.log_likelihood(x, 3),
        "interpolate": lambda x: vae.interpolate(x, x[::-1], 4),
        "decode": lambda x: vae.decode(x[:, :2]),
    }


@pytest.mark.parametrize("method", ["score", "reconstruct", "log_likelihood", "interpolate", "decode"])
def test_finite_rows_that_overflow_are_refused_by_number(method: str, vae: aaptvae.VAE, x: np.ndarray) -> None:
    rows = x[:9].copy()
    rows[4] = 3e38  # the middle one, so that it is row 4 of either end of an interpolation
    with pytest.raises(InputError, match=r"(x|z|a or b) row 4 is too large for the model, whose results are not finite"):
        overflowing(vae)[method](rows)


@pytest.mark.parametrize("row", [0, 70])
def test_a_spread_too_large_is_refused(vae: aaptvae.VAE, row: int) -> None:
    logvar = np.zeros((100, 2), np.float32)
    logvar[row, 1] = 1e4
    with pytest.raises(InputError, match=f"logvar row {row} is too large"):
        vae.reparameterize(np.zeros((100, 2)), logvar, seed=0)


def test_a_sequence_is_resampled_between_its_rows(vae: aaptvae.VAE, x: np.ndarray) -> None:
    times, at = [0.0, 1.0, 4.0], [0.0, 1.0, 2.5, 4.0]
    found = vae.resample(x[:3], times, at)
    assert np.array_equal(found[[0, 1, 3]], vae.reconstruct(x[:3]))
    assert np.allclose(found[2], vae.interpolate(x[1:2], x[2:3], steps=2)[1], atol=1e-6)
    with pytest.raises(aaptvae.InputError, match="there is no extrapolation"):
        vae.resample(x[:3], times, [4.1])
