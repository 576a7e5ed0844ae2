"""Bundles of models with conditions: both graphs have a second input, and compute the trained model at every precision."""

import numpy as np
import pytest

import aaptvae
from aaptvae.bundle.manifest import Condition
from aaptvae.density.bounds import LikelihoodBounds
from aaptvae.verify import verify
from aaptvae_export import ExportOptions, export_bundle
from aaptvae_export.bundle.triton import write_triton
from aaptvae_training.model import decode, encode, given

from ..conftest import make_run

CONDITIONS = (Condition(name="kind", categories=("a", "b", "c")), Condition(name="age", mean=40.0, scale=10.0))
SPECTRAL = {"sigma": "spectral", "likelihood": "student", "bounded": True}


@pytest.mark.parametrize(
    "options",
    [
        {"linear_skip": False},
        {"mean_size": 1e3, **SPECTRAL},
        {"likelihood": "bernoulli"},
        {"input_dim": 60, "latent_dim": 6, "axes": 9, **SPECTRAL},
    ],
    ids=["no skip", "far from zero", "bernoulli", "few axes"],
)
def test_graphs_compute_the_trained_model(tmp_path, options):
    run = make_run(conditions=CONDITIONS, **options)
    width = run.model.input_dim
    made = export_bundle(run, tmp_path / "bundle", ExportOptions())
    vae, x, c = aaptvae.load(made.path), run.heldout[:, :width], run.heldout[:, width:]
    mu, _ = encode(run.model, run.heldout)
    np.testing.assert_allclose(vae.embed(x, condition=c), mu, rtol=1e-3, atol=1e-3)
    expected = decode(run.model, given(run.model, mu, run.heldout))
    unit = vae.observation.unit
    np.testing.assert_allclose(vae.decode(mu, condition=c) / unit, expected / unit, atol=1e-4)
    other = vae.embed(x, condition={"kind": "a", "age": 40})
    assert np.abs(other - mu).max() > 0.01


@pytest.fixture(scope="module")
def run():
    return make_run(64, 40, (96,), rows=200, conditions=CONDITIONS, **SPECTRAL)


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditions") / "bundle"
    return export_bundle(run, folder, ExportOptions(precisions=("fp32", "fp16", "int8"), speedup=0.001))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_precision_passes_its_golden_vectors(run, made, precision):
    assert verify(made.path, precisions=[precision]).passed
    vae = aaptvae.load(made.path, precision=precision)
    mu = vae.embed(run.heldout[:, :64], condition=run.heldout[:, 64:])
    assert np.corrcoef(mu.ravel(), encode(run.model, run.heldout)[0].ravel())[0, 1] > 0.99


def test_densities_are_those_of_the_trained_model(run, made):
    vae, rows = aaptvae.load(made.path), run.heldout[:20]
    x, c = rows[:, :64], rows[:, 64:]
    mu, logvar = encode(run.model, rows)
    bounds = LikelihoodBounds(lambda z: decode(run.model, given(run.model, z, rows)), run.observation)
    scores = vae.score(x, condition=c)
    np.testing.assert_allclose(scores.elbo, bounds.expected_log_density(x, mu, logvar) - scores.kl_divergence, rtol=1e-4)


def test_fewer_latents_keep_the_conditions(run, tmp_path):
    made = export_bundle(run, tmp_path / "bundle", ExportOptions(compact=0.9))
    vae = aaptvae.load(made.path)
    assert vae.latent_dim < 40
    assert vae.sample(3, condition={"kind": "b", "age": 50}).shape == (3, 64)


def test_a_triton_repository_names_both_inputs(made, tmp_path):
    write_triton(made.manifest, made.files, tmp_path / "repository")
    config = (tmp_path / "repository" / f"{made.manifest.name}_decoder" / "config.pbtxt").read_text()
    assert 'input [{ name: "z" data_type: TYPE_FP32 dims: [ 40 ] }, { name: "c" data_type: TYPE_FP32 dims: [ 4 ] }]' in config
