"""A bundle is read whole and unchanged, from a folder or a zip, or refused with words."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import aaptvae
from aaptvae import BundleError
from aaptvae.bundle.manifest import MANIFEST, MODEL_CARD, UNSEALED, seal
from aaptvae.bundle.reading import read_bundle, read_manifest


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def zipped(folder: Path, path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def sealed(folder: Path) -> list[Path]:
    """Every file but the model card, which its owner may edit."""
    return sorted(path for path in folder.iterdir() if path.name != MODEL_CARD)


def resealed(folder: Path, change: Callable[[dict[str, object]], object]) -> Path:
    """The bundle with its manifest's fields changed and sealed again, as an attacker would."""
    fields = json.loads((folder / MANIFEST).read_bytes())
    change(fields)
    fields["seal"] = UNSEALED.decode()
    data = json.dumps(fields).encode()
    (folder / MANIFEST).write_bytes(data.replace(UNSEALED, seal(data).encode()) if b'"seal"' in data else data)
    return folder


def relisted(folder: Path, name: str, data: bytes) -> Path:
    """The bundle with one file replaced and its digest in the manifest put right."""
    (folder / name).write_bytes(data)
    entry = {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return resealed(folder, lambda fields: fields.update(files=[entry if e["name"] == name else e for e in fields["files"]]))


def test_folder_and_zip_hold_the_same_bundle(tiny: Path, tmp_path: Path, x: np.ndarray, vae: aaptvae.VAE) -> None:
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        archive = zipped(tiny, tmp_path / f"{compression}.zip", compression)
        assert read_bundle(archive).files == read_bundle(tiny).files
        assert np.array_equal(aaptvae.load(archive).embed(x), vae.embed(x))


def test_the_digest_of_the_manifest_pins_the_bundle(tiny: Path, vae: aaptvae.VAE) -> None:
    digest = hashlib.sha256((tiny / MANIFEST).read_bytes()).hexdigest()
    assert vae.digest == digest == read_bundle(tiny, sha256=digest.upper()).digest
    with pytest.raises(BundleError, match="another bundle than the pinned one"):
        aaptvae.load(tiny, sha256="0" * 64)


def test_unlisted_files_are_ignored(copy: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    assert "notes.txt" not in read_bundle(copy).files


def test_a_link_to_the_bundle_itself_is_followed(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(copy)
    assert read_bundle(tmp_path / "current").manifest.name == "tiny"


def test_a_zip_bomb_is_refused_before_it_unpacks(copy: Path, tmp_path: Path) -> None:
    relisted(copy, "README.md", bytes(50_000_000))
    with pytest.raises(BundleError, match=r"bomb.zip unpacks to 500\d+ bytes: expected \d+ at most"):
        aaptvae.load(zipped(copy, tmp_path / "bomb.zip"))


def test_a_zip_may_be_a_symbolic_link(tiny: Path, tmp_path: Path) -> None:
    zipped(tiny, tmp_path / "blob")
    (tmp_path / "tiny.zip").symlink_to(tmp_path / "blob")
    assert read_bundle(tmp_path / "tiny.zip").manifest.name == "tiny"


@pytest.mark.parametrize("name", ["manifest.json", "encoder.onnx", "prior.npz"])
def test_a_missing_file_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"cannot read .*No such file or directory: {name}.*expected a bundle"):
        aaptvae.load(copy)
    with pytest.raises(BundleError, match=f"the zip has no {name}"):
        aaptvae.load(zipped(copy, tmp_path / "x.zip"))


def test_a_path_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file or directory"):
        aaptvae.load(tmp_path / "nowhere")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BundleError, match="text is no bundle: expected a folder or a"):
        aaptvae.load(tmp_path / "text")


def test_a_flipped_bit_anywhere_is_refused(copy: Path, tiny: Path) -> None:
    for path in sealed(tiny):
        data = path.read_bytes()
        with (copy / path.name).open("r+b", buffering=0) as file:
            for at in range(0, len(data), 1 if path.name == MANIFEST else 5):
                file.seek(at)
                file.write(bytes([data[at] ^ 1 << at % 8]))
                with pytest.raises(BundleError):
                    read_bundle(copy)
                file.seek(at)
                file.write(data[at : at + 1])
    assert read_bundle(copy)


def test_every_truncation_is_refused(copy: Path, tiny: Path) -> None:
    for path in sealed(tiny):
        data = path.read_bytes()
        for length in range(0, len(data), 29):
            (copy / path.name).write_bytes(data[:length])
            with pytest.raises(BundleError):
                read_bundle(copy)
        (copy / path.name).write_bytes(data)


def bind(path: Path) -> None:
    """A socket; its name must be short, so it is made from within the folder."""
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def linked(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A link to what `make` makes elsewhere."""

    def link(path: Path) -> None:
        make(path.parent / "elsewhere")
        path.symlink_to("elsewhere")

    return link


IRREGULAR = "is a folder, a device, a pipe or a socket, or a link to one"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, IRREGULAR),
        (os.mkfifo, IRREGULAR),
        (bind, IRREGULAR),
        (lambda path: path.symlink_to("/dev/zero"), IRREGULAR),
        (linked(Path.mkdir), IRREGULAR),
        (linked(os.mkfifo), IRREGULAR),
        (linked(bind), IRREGULAR),
        (lambda path: path.symlink_to("."), IRREGULAR),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
        (lambda path: path.symlink_to("golden.npz"), "is not the file the manifest describes|expected|not strict JSON"),
    ],
    ids=["folder", "fifo", "socket", "device", "folder link", "fifo link", "socket link", "dot", "loop", "dangling", "other"],
)
@pytest.mark.parametrize("name", ["encoder.onnx", "manifest.json"])
def test_irregular_files_are_refused_without_waiting(copy: Path, name: str, make: Callable[[Path], None], words: str) -> None:
    (copy / name).unlink()
    make(copy / name)
    with pytest.raises(BundleError, match=words):
        aaptvae.load(copy)


def test_a_huge_file_is_refused_before_reading(copy: Path) -> None:
    with (copy / "encoder.onnx").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match=r"encoder.onnx has 1099511627776 bytes"):
        aaptvae.load(copy)
    with (copy / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match=r"manifest.json has 1099511627776 bytes: expected 1048576 at most"):
        aaptvae.load(copy)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: f.update(schema_version=99),
            "has schema 99: this aaptvae reads up to 2: pip install --upgrade aaptvae",
        ),
        (lambda f: f.update(schema_version=0), "has schema_version 0"),
        (lambda f: f.update(schema_version="1"), "has schema_version '1'"),
        (lambda f: f.pop("schema_version"), "has schema_version None"),
        (lambda f: f.update(surprise=1), "unknown field `surprise`"),
        (lambda f: f.pop("latent_dim"), "missing required field `latent_dim`"),
        (lambda f: f.update(latent_dim=0), "`int` >= 1 - at `\\$.latent_dim`"),
        (lambda f: f.update(latent_dim=10**30), "schema"),
        (lambda f: f.update(latent_dim=3), "describes other graphs than 5 features and 3 latents need"),
        (lambda f: f.update(name="../../etc"), "matching regex"),
        (lambda f: f["files"].append(dict(f["files"][0])), "each once"),
        (lambda f: f["files"].pop(), "lists .*: expected "),
        (lambda f: f["files"].append({"name": "evil.bin", "bytes": 1, "sha256": "0" * 64}), "lists .*evil.bin"),
        (lambda f: f["files"][0].update(name="../encoder.onnx"), "matching regex"),
        (lambda f: f["files"][0].update(name="/etc/passwd"), "matching regex"),
        (lambda f: f["files"][0].update(name="C:evil"), "matching regex"),
        (lambda f: f["files"][0].update(bytes=1 << 50), "expected 1073741824 at most"),
        (lambda f: f["files"][0].update(bytes=-1), "schema"),
        (lambda f: f["files"][1].update(bytes=1), "has \\d+ bytes: expected 1 at most"),
        (lambda f: f["files"][1].update(bytes=f["files"][1]["bytes"] + 1), "is not the file the manifest describes"),
        (lambda f: f["files"][1].update(sha256="0" * 64), "is not the file the manifest describes"),
        (lambda f: f["encoder"]["outputs"].reverse(), "describes other graphs"),
        (
            lambda f: f.update(twins=[{"precision": "int8", "bytes_ratio": 1, "r2_loss": 0, "elbo_loss": 0, "mu_cosine": 1}]),
            "expected .*encoder.int8.onnx",
        ),
    ],
)
def test_a_wrong_manifest_with_right_seal_is_refused(copy: Path, change: Callable[..., None], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        aaptvae.load(resealed(copy, change))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not strict JSON"),
        (b"\xff\xfe", "not strict JSON"),
        (b"[]", "has schema_version None"),
        (b'{"schema_version": 1, "schema_version": 1}', "a key occurs twice"),
        (b'{"schema_version": NaN}', "NaN is not a number"),
        (b'{"schema_version": -Infinity}', "-Infinity is not a number"),
        (b'{"schema_version": true}', "has schema_version True"),
        (b'{"schema_version": 1' + b"0" * 5000 + b"}", "not strict JSON"),
        (b'{"schema_version": 1, "a": ' + b"[" * 500_000 + b"]" * 500_000 + b"}", "not strict JSON"),
        (b'{"schema_version": 1} {"schema_version": 1}', "not strict JSON"),
        (b'{"schema_version": 1, "name": "\xc3\x28"}', "not strict JSON"),
    ],
)
def test_json_that_is_not_strict_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        read_manifest(data)


def test_halves_of_two_bundles_never_mix(copy: Path, tmp_path: Path) -> None:
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    other = make_tiny.make_files(make_tiny.weights(seed=9))
    with pytest.raises(BundleError, match=r"decoder.onnx is refused: its aaptvae.pair_id is not the manifest's"):
        aaptvae.load(relisted(copy, "decoder.onnx", other["decoder.onnx"]))


def test_different_golden_vectors_are_refused_by_default(copy: Path) -> None:
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    other = make_tiny.make_files(make_tiny.weights(seed=9))
    relisted(copy, "golden.npz", other["golden.npz"])
    with pytest.raises(BundleError, match=r"mu differs from the golden vectors by .*run `aaptvae verify`"):
        aaptvae.load(copy)
    assert aaptvae.load(copy, golden=False).latent_dim == 2


@pytest.mark.parametrize(
    ("name", "words"), [("prior.npz", "prior.npz"), ("likelihood.npz", "likelihood.npz"), ("golden.npz", "golden.npz")]
)
def test_arrays_of_another_bundle_are_refused(copy: Path, name: str, words: str) -> None:
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    wider = make_tiny.make_files(make_tiny.weights(seed=9, d=7, latents=3))
    with pytest.raises(BundleError, match=words):
        aaptvae.load(relisted(copy, name, wider[name]))
    with pytest.raises(BundleError, match=r"has a wrong (header|central directory|.npy header)"):
        aaptvae.load(relisted(copy, name, b"x"))


@pytest.mark.skipif(os.name == "nt", reason="there a folder in use cannot be removed")
def test_absolute_paths_load_without_working_directory(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert read_bundle(tiny.resolve()).manifest.input_dim == 5
    with pytest.raises(BundleError, match="the working directory is gone: give an absolute path"):
        read_bundle("tiny")
