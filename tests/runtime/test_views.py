"""Views of rows beside the posterior mean: what they compute, what decodes, and what a bundle without them says."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from preforked import run

import aaptvae
from aaptvae import BundleError, InputError
from aaptvae.bundle import manifest as bundle
from aaptvae.bundle.manifest import Manifest
from aaptvae.bundle.npz import write_npz
from aaptvae.verify import verify

make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
OLD = Path(__file__).parents[1] / "fixtures" / "schema1" / "bundle"


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = make_tiny.write(tmp_path_factory.mktemp("viewed") / "b", make_tiny.make_viewed(make_tiny.weights(0)))
    return folder


def resealed(folder: Path, target: Path, changes: dict[str, bytes], **fields: object) -> Path:
    """A copy of the bundle with other files or manifest fields, digests and seal put right."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | changes
    manifest = msgspec.structs.replace(msgspec.json.decode(files[bundle.MANIFEST], type=Manifest), **fields)
    written: Path = make_tiny.write(target, make_tiny.seal(manifest, files))
    return written


def test_metric_maps_mu_and_decodes_back(viewed: Path, x: np.ndarray) -> None:
    vae = aaptvae.load(viewed)
    metric = vae.embed(x, view="metric")
    np.testing.assert_allclose(metric, 2 * vae.embed(x) + 1, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(vae.decode(metric, view="metric"), vae.reconstruct(x), rtol=1e-5, atol=1e-5)
    assert vae.embed(x, view="similarity").shape == (len(x), 4)
    assert vae.views.names == ("metric", "similarity") and vae.views.width("similarity") == 4


def test_a_views_row_ignores_its_batch(viewed: Path, x: np.ndarray) -> None:
    vae = aaptvae.load(viewed)
    whole = vae.embed(x, view="metric")
    assert np.array_equal(vae.embed(x[:7], view="metric"), whole[:7])
    decoded = vae.decode(whole, view="metric")
    assert np.array_equal(vae.decode(whole[:64], view="metric"), decoded[:64])
    out = np.empty_like(decoded)
    assert vae.decode(whole, view="metric", out=out) is out and np.array_equal(out, decoded)


def test_a_bundle_of_before_has_mu_alone(x: np.ndarray) -> None:
    vae = aaptvae.load(OLD)
    rows = np.zeros((2, vae.input_dim), np.float32)
    assert vae.manifest.schema_version == 1 and vae.views.names == ()
    assert np.array_equal(vae.embed(rows, view="mu"), vae.embed(rows))
    for call in (vae.embed, vae.decode):
        with pytest.raises(InputError, match="view is 'metric': this bundle has mu: choose one"):
            call(rows, view="metric")


def test_similarity_has_no_inverse(viewed: Path) -> None:
    with pytest.raises(InputError, match="'similarity', which has no inverse"):
        aaptvae.load(viewed).decode(np.zeros((1, 2)), view="similarity")


def test_the_command_line_writes_and_decodes_a_view(viewed: Path, x: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", x)
    source, latents, back, short = (tmp_path / name for name in ("x.npy", "y.npy", "back.npy", "short.npy"))
    assert aaptvae_command("encode", viewed, source, "-o", latents, "--view", "metric") == (0, "")
    assert aaptvae_command("decode", viewed, latents, "-o", back, "--view", "metric") == (0, "")
    assert aaptvae_command("encode", viewed, source, "-o", short, "--view", "similarity") == (0, "")
    vae = aaptvae.load(viewed)
    assert np.array_equal(np.load(latents), vae.embed(x, view="metric"))
    np.testing.assert_allclose(np.load(back), vae.reconstruct(x), rtol=1e-5, atol=1e-5)
    assert np.array_equal(np.load(short), vae.embed(x, view="similarity"))


def test_wrong_views_are_refused_on_the_command_line(viewed: Path, tiny: Path, x: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", x)
    source, target, logvar = (tmp_path / name for name in ("x.npy", "y.npy", "logvar.npy"))
    status, words = aaptvae_command("encode", tiny, source, "-o", target, "--view", "similarity")
    assert status == 1 and "view is 'similarity': this bundle has mu: choose one" in words and words.count("\n") == 1
    status, words = aaptvae_command("encode", viewed, source, "-o", target, "--view", "metric", "--logvar", logvar)
    assert status == 2 and "--logvar belongs to the posterior means" in words
    assert not target.exists()


def aaptvae_command(*words: object) -> tuple[int, str]:
    """Exit status and stderr."""
    done = run(*words)
    return done.returncode, done.stderr.decode()


def test_verify_replays_the_views_too(viewed: Path) -> None:
    report = verify(viewed)
    assert [replay.tensor for replay in report.precisions[0].replays][3:] == ["metric", "similarity"] and report.passed


def test_a_view_that_computes_something_else_is_refused(viewed: Path, tmp_path: Path) -> None:
    wrong = make_tiny.weights(0) | {"root.w": 3 * np.eye(2, dtype=np.float32), "root.b": np.ones(2, np.float32)}
    wrong |= {"short.w": np.ones((4, 5), np.float32), "short.b": np.ones(4, np.float32)}
    manifest = aaptvae.load(viewed).manifest
    graph = make_tiny.with_metadata(make_tiny.view_graphs(wrong)["metric"], bundle.metadata(manifest, "metric"))
    folder = resealed(viewed, tmp_path / "b", {"metric.onnx": graph})
    vae = aaptvae.load(folder)
    with pytest.raises(BundleError, match=r"metric differs from the golden vectors by 0\.\d+"):
        vae.embed(np.zeros((1, 5)), view="metric")
    assert not verify(folder).passed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric.onnx": b""}, "metric.onnx is refused"),
        ({"similarity.onnx": "decoder.onnx"}, "similarity.onnx is refused: its .*graph.* is not the manifest's"),
        ({"views.npz": write_npz({"inverse": np.eye(3), "offset": np.zeros(3)})}, "views.npz has another width"),
        ({"views.npz": write_npz({"inverse": np.full((2, 2), np.nan), "offset": np.zeros(2)})}, "finite numbers"),
    ],
    ids=str,
)
def test_hostile_files_of_views_are_refused(viewed: Path, tmp_path: Path, changes: dict[str, bytes | str], words: str) -> None:
    read = {name: (viewed / data).read_bytes() if isinstance(data, str) else data for name, data in changes.items()}
    with pytest.raises(BundleError, match=words):
        aaptvae.load(resealed(viewed, tmp_path / "b", read))


def test_hostile_views_in_a_manifest_are_refused(viewed: Path, tmp_path: Path) -> None:
    metric, similarity = aaptvae.load(viewed).manifest.views
    wider = msgspec.structs.replace(similarity, dim=5)
    twinned = msgspec.structs.replace(similarity, twins=(bundle.ViewTwin(precision="int8", bytes_ratio=0.5, recall_loss=0.0),))
    golden = dict(np.load(viewed / "golden.npz")) | {"similarity": np.zeros((9, 5), np.float32)}
    lies: dict[str, tuple[tuple[bundle.View, ...], dict[str, bytes]]] = {
        "has views metric, metric": ((metric, metric), {}),
        "metric of latent_dim numbers": ((msgspec.structs.replace(metric, dim=3), similarity), {}),
        "golden.npz holds": ((metric, wider), {}),
        "similarity.onnx is refused: its outputs": ((metric, wider), {"golden.npz": write_npz(golden)}),
        "has twins of precisions": ((metric, twinned), {}),
    }
    for number, (words, (views, changes)) in enumerate(lies.items()):
        with pytest.raises(BundleError, match=words):
            aaptvae.load(resealed(viewed, tmp_path / str(number), changes, views=views))


def test_a_bundle_without_its_views_file_is_refused(viewed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(viewed, tmp_path / "b"))
    (folder / "similarity.onnx").unlink()
    with pytest.raises(BundleError, match="cannot read"):
        aaptvae.load(folder)
