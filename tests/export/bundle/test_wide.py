"""Bundles of models along a few principal axes: the axes are in the decoder once, the noise is that of the model."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch

import aaptvae
from aaptvae.bundle.graph_check import weight_of
from aaptvae.bundle.manifest import AXES
from aaptvae.density.bounds import LikelihoodBounds
from aaptvae.errors import BundleError
from aaptvae.verify import verify
from aaptvae_export import ExportOptions, export_bundle
from aaptvae_training.model import decode, encode, observation_of

from ..conftest import make_run

WIDTH, INNER, LATENTS = 300, 48, 40


@pytest.fixture(scope="module")
def run():
    options = {"sigma": "spectral", "likelihood": "student", "bounded": True, "axes": INNER}
    made = make_run(WIDTH, LATENTS, (64,), rows=80, **options)
    with torch.no_grad():
        made.model.log_sigma += torch.linspace(-0.5, 0.5, INNER + 1)
    return dataclasses.replace(made, observation=observation_of(made.model))


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide") / "bundle"
    return export_bundle(run, folder, ExportOptions(precisions=("fp32", "fp16", "int8"), speedup=0.001))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_precision_passes_its_golden_vectors(made, precision):
    assert precision in made.manifest.precisions
    assert verify(made.path).passed
    assert aaptvae.load(made.path, precision=precision).observation.basis.shape == (WIDTH, INNER)


def test_densities_are_those_of_the_trained_model(run, made):
    vae, x = aaptvae.load(made.path), run.heldout[:20]
    mu, logvar = encode(run.model, x)
    np.testing.assert_allclose(vae.embed(x), mu, rtol=1e-4, atol=1e-4)
    bounds = LikelihoodBounds(lambda z: decode(run.model, z), run.observation)
    expected = bounds.expected_log_density(x, mu, logvar) - vae.score(x).kl_divergence
    np.testing.assert_allclose(vae.score(x).elbo, expected, rtol=1e-4)


def test_noise_has_the_covariance_of_the_model(made):
    """Gaussian part: variance along each axis, and one variance in all other directions."""
    observation = dataclasses.replace(aaptvae.load(made.path).observation, kind="gaussian", broad=None)
    drawn = (observation.add_noise(np.zeros((20_000, WIDTH), np.float32), 0, 0, 20_000) / observation.scale).astype(float)
    along = drawn @ observation.basis
    np.testing.assert_allclose(along.std(axis=0), observation.sigma[:-1], rtol=0.03)
    rest = (drawn**2).sum(axis=1) - (along**2).sum(axis=1)
    assert np.sqrt(rest.mean() / (WIDTH - INNER)) == pytest.approx(observation.sigma[-1], rel=0.01)


def test_rows_of_noise_do_not_depend_on_the_batch(made):
    vae = aaptvae.load(made.path)
    whole = vae.sample(100, seed=3, observation_noise=True)
    np.testing.assert_array_equal(whole[70:], vae.sample(range(70, 100), seed=3, observation_noise=True))


def test_the_bundle_holds_the_axes_once_per_graph(made):
    """Beside 4 bytes for each weight of the graphs there is little, and no basis."""
    files = {path.name: path.stat().st_size for path in made.path.iterdir()}
    assert "axes" not in json.loads((made.path / "manifest.json").read_text()), "older readers refuse unknown fields"
    assert set(np.load(made.path / "likelihood.npz")) == {"mean", "scale", "sigma", "freedom", "broad_sigma", "broad"}
    graphs = ["encoder.onnx", "decoder.onnx"]
    weights = {t.name: np.prod(t.dims) for graph in graphs for t in onnx.load(made.path / graph).graph.initializer}
    assert weights["axes.weight"] == WIDTH * INNER
    assert max(size for name, size in weights.items() if name != "axes.weight") < WIDTH * INNER
    assert sum(files[graph] for graph in graphs) < 4 * (sum(weights.values()) + WIDTH * INNER) + 60_000


def test_a_decoder_without_axes_is_refused(made):
    """The name of the weight is that of the exporter: no other weight of this shape is taken for it."""
    data = (made.path / "decoder.onnx").read_bytes()
    assert np.shape(weight_of(data, AXES, (WIDTH, INNER))) == (WIDTH, INNER)
    assert weight_of(data, AXES, (WIDTH, 0)) is None
    for broken, shape in ((data, (WIDTH, INNER + 1)), (data[: len(data) // 2], (WIDTH, INNER)), (b"", (WIDTH, INNER))):
        with pytest.raises(BundleError, match=AXES):
            weight_of(broken, AXES, shape)
