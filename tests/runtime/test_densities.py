"""Samples with the values of the training rows, of a bundle that has maps for them; bundles with none or with wrong ones."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

import aaptvae
from aaptvae import BundleError, InputError
from aaptvae.bundle.manifest import MANIFEST, MARGINALS, encode_manifest
from aaptvae.bundle.npz import write_npz
from aaptvae.bundle.reading import read_manifest

TESTS = Path(__file__).parents[1]
OBSERVED = TESTS / "web" / "observed"  # of columns that are constant, 0 or 1, 0 to 6, half zero, and continuous
OLD = TESTS / "fixtures" / "schema1" / "bundle"


@pytest.fixture(scope="module")
def vae() -> aaptvae.VAE:
    return aaptvae.load(OBSERVED)


def arrays() -> dict[str, np.ndarray]:
    with np.load(OBSERVED / MARGINALS) as file:
        return dict(file)


def with_marginals(target: Path, changes: dict[str, np.ndarray]) -> Path:
    """A copy of the bundle with other maps, its digests and seal put right."""
    shutil.copytree(OBSERVED, target)
    data = write_npz({name: np.asarray(array, np.float32) for name, array in (arrays() | changes).items()})
    (target / MARGINALS).write_bytes(data)
    manifest = read_manifest((target / MANIFEST).read_bytes())
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files = tuple(msgspec.structs.replace(f, **facts) if f.name == MARGINALS else f for f in manifest.files)
    (target / MANIFEST).write_bytes(encode_manifest(msgspec.structs.replace(manifest, files=files)))
    return target


def test_samples_have_observed_values(vae: aaptvae.VAE) -> None:
    drawn = vae.sample(5_000, seed=1, as_observed=True)
    assert set(drawn[:, 0]) == {3} and set(drawn[:, 1]) == {0, 1} and set(drawn[:, 2]) == set(range(7))
    assert np.mean(drawn[:, 1]) == pytest.approx(156 / 256, abs=0.03)
    assert np.mean(drawn[:, 3] == drawn[:, 3].min()) == pytest.approx(0.5, abs=0.03)
    noisy = vae.sample(5_000, seed=1, observation_noise=True)
    assert np.corrcoef(drawn[:, 4], noisy[:, 4])[0, 1] > 0.9


def test_a_sample_depends_on_seed_and_row(vae: aaptvae.VAE) -> None:
    whole = vae.sample(200, seed=9, as_observed=True)
    np.testing.assert_array_equal(vae.sample(range(70, 200), seed=9, as_observed=True), whole[70:])
    np.testing.assert_array_equal(aaptvae.load(OBSERVED, batch_size=64).sample(200, seed=9, as_observed=True), whole)
    out = np.empty((200, 5), np.float32)
    assert vae.sample(200, seed=9, as_observed=True, observation_noise=True, out=out) is out
    np.testing.assert_array_equal(out, whole)
    assert vae.sample(0, as_observed=True).shape == (0, 5)


@pytest.mark.parametrize("place", [OLD, TESTS / "runtime" / "tiny"])
def test_a_bundle_without_maps_refuses(place: Path) -> None:
    old = aaptvae.load(place)
    assert not old.manifest.marginals
    with pytest.raises(InputError, match=r"as_observed is true: this bundle has no marginals\.npz"):
        old.sample(3, as_observed=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"counts": [4], "rules": [0], "quantiles": [0, 1, 2, 3], "values": [0, 1, 2, 3]}, "another width than the manifest"),
        ({"values": np.zeros(3)}, "marginals has counts"),
        ({"counts": np.full(5, 2.0**40)}, "marginals has counts"),
        ({"rules": np.full(5, -2)}, "rule that is not"),
        ({"rules": np.full(5, np.nan)}, "finite numbers"),
        ({"quantiles": np.arange(112)[::-1]}, "do not ascend"),
        ({"further": np.zeros(1)}, "marginals.npz holds"),
    ],
)
def test_wrong_maps_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        aaptvae.load(with_marginals(tmp_path / "b", changes))


def test_maps_are_listed_or_absent(tmp_path: Path) -> None:
    """A manifest that says nothing of maps must not list them."""
    shutil.copytree(OBSERVED, tmp_path / "b")
    manifest = read_manifest((OBSERVED / MANIFEST).read_bytes())
    (tmp_path / "b" / MANIFEST).write_bytes(encode_manifest(msgspec.structs.replace(manifest, marginals=False)))
    with pytest.raises(BundleError, match=r"lists .*marginals\.npz.*: expected"):
        aaptvae.load(tmp_path / "b")
