"""The density and the noise of the observation model against direct formulas."""

import math

import numpy as np
import pytest

from aaptvae import BundleError, InputError
from aaptvae.density.bounds import LikelihoodBounds
from aaptvae.density.observation import Broad, ObservationModel

RNG = np.random.default_rng(0)
D = 4
X, X_HAT = (RNG.standard_normal((150, D)).astype(np.float32) for _ in range(2))
BASIS = np.linalg.qr(RNG.standard_normal((D, D)))[0]
SIGMA = np.array([0.5, 1.0, 2.0, 3.0])
SCALE = np.array([1.0, 2.0, 0.5, 1.5])


def model(sigma: np.ndarray = SIGMA, basis: np.ndarray | None = None, kind: str = "gaussian") -> ObservationModel:
    return ObservationModel(kind, np.arange(4.0), SCALE, sigma, basis)  # type: ignore[arg-type]


@pytest.mark.parametrize("basis", [None, BASIS], ids=["axes", "basis"])
@pytest.mark.parametrize("sigma", [np.array([0.7]), SIGMA], ids=["one", "each"])
def test_log_density_is_that_of_a_gaussian(sigma: np.ndarray, basis: np.ndarray | None) -> None:
    turn = np.eye(D) if basis is None else basis
    covariance = turn @ np.diag(np.broadcast_to(sigma, D) ** 2) @ turn.T
    r = (X.astype(np.float64) - X_HAT) / SCALE
    expected = -0.5 * (
        np.einsum("ni,ij,nj->n", r, np.linalg.inv(covariance), r) + np.linalg.slogdet(covariance)[1] + D * math.log(2 * math.pi)
    )
    np.testing.assert_allclose(model(sigma, basis).log_density(X, X_HAT), expected, rtol=1e-10)


@pytest.mark.parametrize("basis", [None, BASIS], ids=["axes", "basis"])
def test_noise_has_the_covariance_of_the_model(basis: np.ndarray | None) -> None:
    turn = np.eye(D) if basis is None else basis
    zeros = np.zeros((100_000, D), np.float32)
    noise = model(SIGMA, basis).add_noise(zeros, 1, 0, len(zeros))
    expected = SCALE[:, None] * (turn @ np.diag(SIGMA**2) @ turn.T) * SCALE
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.15)
    assert noise.dtype == np.float32 and abs(noise.mean()) < 0.02


@pytest.mark.parametrize("kind", ["gaussian", "bernoulli"])
def test_noise_and_density_do_not_depend_on_batch(kind: str) -> None:
    observation = model(SIGMA, BASIS, kind)
    p, x = np.clip(X_HAT, 0, 1), np.clip(X, 0, 1)
    whole, densities = observation.add_noise(p, 3, 0, len(p)), observation.log_density(x, p)
    for start, stop in [(0, 1), (64, 128), (70, 75)]:
        assert np.array_equal(observation.add_noise(p[start:stop], 3, start, stop), whole[start:stop])
    for rows in (1, 2, 65):
        assert np.array_equal(observation.log_density(x[:rows], p[:rows]), densities[:rows])


def test_bernoulli_density_and_noise_follow_the_probability() -> None:
    observation = model(np.zeros(1), kind="bernoulli")
    p = np.full((20_000, D), 0.3, np.float32)
    drawn = observation.add_noise(p, 0, 0, len(p))
    assert set(np.unique(drawn)) == {0.0, 1.0} and abs(drawn.mean() - 0.3) < 0.01
    np.testing.assert_allclose(observation.log_density(np.ones((1, D), np.float32), p[:1]), D * math.log(0.3), rtol=1e-6)
    assert np.isfinite(observation.log_density(np.ones((1, D), np.float32), np.zeros((1, D), np.float32))).all()
    with pytest.raises(InputError, match=r"expects features in \[0, 1\]"):
        observation.log_density(X, p[: len(X)])


def test_arrays_go_out_and_come_back() -> None:
    for observation in (model(), model(basis=BASIS), model(np.ones(1))):
        arrays = observation.to_arrays()
        back = ObservationModel.from_arrays("gaussian", arrays).to_arrays()
        assert back.keys() == arrays.keys() and all(np.array_equal(back[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": np.ones(3)},
        {"scale": np.zeros(D)},
        {"sigma": np.zeros(1)},
        {"sigma": np.ones(2)},
        {"basis": np.ones((3, 4))},
    ],
)
def test_arrays_of_wrong_shape_or_sign_are_refused(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(BundleError, match="likelihood has"):
        ObservationModel.from_arrays("gaussian", model().to_arrays() | change)


def test_the_mean_elbo_of_a_skewed_decoder() -> None:
    """Signs that all rows share would be off by the same amount in every row wherever latents overlap."""
    rng, width, latents = np.random.default_rng(0), 6, 8
    weight = rng.standard_normal((latents, width))
    observation = ObservationModel("gaussian", np.zeros(width), np.ones(width), np.full(1, 0.3))
    bounds = LikelihoodBounds(lambda z: np.asarray(z @ weight, np.float32), observation)
    x = rng.standard_normal((4000, width)).astype(np.float32)
    mu, logvar = (0.3 * rng.standard_normal((2, 4000, latents))).astype(np.float32)
    spread = np.exp(logvar) @ np.square(weight).sum(axis=1)  # E|W (z - mu)|^2
    exact = observation.log_density(x, bounds.decode(mu)) - spread / (2 * 0.3**2)
    error = bounds.expected_log_density(x, mu, logvar) - exact
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(x))
    again = bounds.expected_log_density(x[7:9], mu[7:9], logvar[7:9])
    np.testing.assert_allclose(again, (error + exact)[7:9], rtol=1e-6)  # a row's signs are its own, in any company


def broad(share: float = 0.25) -> ObservationModel:
    constant = np.array([False, True, False, False])
    return ObservationModel("student", np.arange(4.0), SCALE, SIGMA, BASIS, 8.0, Broad(5 * SIGMA, share, 6.0), constant)


def test_broad_noise_mixes_two_densities() -> None:
    narrow, wide = (
        ObservationModel("student", np.arange(4.0), SCALE, s, BASIS, f) for s, f in ((SIGMA, 8.0), (5 * SIGMA, 6.0))
    )
    expected = np.log(0.75 * np.exp(narrow.log_density(X, X_HAT)) + 0.25 * np.exp(wide.log_density(X, X_HAT)))
    np.testing.assert_allclose(broad().log_density(X, X_HAT), expected, rtol=1e-10)


def test_broad_noise_is_read_back_as_written() -> None:
    arrays = broad().to_arrays()
    again = ObservationModel.from_arrays("student", arrays)
    np.testing.assert_array_equal(again.log_density(X, X_HAT), broad().log_density(X, X_HAT))
    for wrong in (
        {"broad": np.array([1.0, 6.0])},
        {"broad": np.ones(1)},
        {"broad_sigma": -SIGMA},
        {"constant": np.full(4, 0.5)},
    ):
        with pytest.raises(BundleError, match="export the bundle again"):
            ObservationModel.from_arrays("student", arrays | wrong)


def test_samples_mix_broad_rows_and_keep_constants() -> None:
    zeros = np.zeros((40_000, D), np.float32)
    noise = broad().add_noise(zeros, 1, 0, len(zeros))
    assert not noise[:, 1].any()
    turned = np.delete(np.square(BASIS * SIGMA).sum(axis=1), 1)
    expected = turned * (0.75 * 8 / 6 + 0.25 * 25 * 6 / 4) * np.delete(SCALE, 1) ** 2
    np.testing.assert_allclose(np.delete(noise, 1, axis=1).var(axis=0), expected, rtol=0.1)
    np.testing.assert_array_equal(broad().add_noise(zeros[:9], 1, 30, 39), noise[30:39])
