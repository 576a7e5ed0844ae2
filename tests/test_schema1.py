"""Bundles, runs and interrupted trainings of version 0.1.0 (schema 1) still load and give the numbers that they gave.

`fixtures/schema1` was written by the code of commit 461783a: 300 rows of 24 features, 4 latents, seed 5.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import aaptvae

OLD = Path(__file__).parent / "fixtures" / "schema1"
CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # another processor rounds differently


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    return dict(np.load(OLD / "expected.npz"))


def test_an_old_bundle_gives_the_numbers_it_gave(expected: dict[str, np.ndarray]) -> None:
    vae, x = aaptvae.load(OLD / "bundle"), np.load(OLD / "features.npy")
    mu, logvar = vae.encode(x[:20])
    scores = vae.score(x[:20])
    got = {
        "mu": mu,
        "logvar": logvar,
        "decoded": vae.decode(mu),
        "fp16_mu": aaptvae.load(OLD / "bundle", precision="fp16").encode(x[:20])[0],
        "sample": vae.sample(6, seed=3),
        "noisy": vae.sample(6, seed=3, observation_noise=True),
        "elbo": scores.elbo,
        "error": scores.reconstruction_error,
        "kl": scores.kl_divergence,
        "likely": vae.log_likelihood(x[:5], samples=16, seed=0),
        "walk": vae.interpolate(x[:1], x[1:2], steps=3),
    }
    assert got.keys() == expected.keys()
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], err_msg=name, **CLOSE)


def test_an_old_run_encodes_as_its_bundle(expected: dict[str, np.ndarray]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: runs need it")
    from aaptvae_training import read_run  # noqa: PLC0415

    run = read_run(OLD / "run")
    with torch.no_grad():
        mu, logvar = run.model.encode(torch.from_numpy(np.load(OLD / "features.npy")[:20]))
    np.testing.assert_allclose(mu.numpy(), expected["mu"], **CLOSE)
    np.testing.assert_allclose(logvar.numpy(), expected["logvar"], **CLOSE)


def test_old_interrupted_trainings_resume_to_the_same_end(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: training needs it")
    from aaptvae_training.train_run import begun_with, train  # noqa: PLC0415

    run = Path(shutil.copytree(OLD / "interrupted", tmp_path / "run"))
    config = begun_with(run)
    assert config is not None
    train(OLD / "features.npy", run, config, resume=True)
    resumed, whole = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (run, OLD / "run")
    )
    assert [line["epoch"] for line in resumed] == [line["epoch"] for line in whole]
    assert resumed[-1]["validation_elbo"] == pytest.approx(whole[-1]["validation_elbo"], abs=0.01)
