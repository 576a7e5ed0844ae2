"""Bundles where other tools put them: caches and volumes of links, hard links, read-only mounts, bytes in memory."""

import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import aaptvae
from aaptvae import BundleError, InputError
from aaptvae.bundle.manifest import MANIFEST, MODEL_CARD
from aaptvae.bundle.reading import read_bundle
from aaptvae.verify import verify


def hub_cache(tiny: Path, place: Path) -> Path:
    """A Hugging Face cache: `snapshots/COMMIT/NAME` links to `blobs/DIGEST`."""
    snapshot = place / "models--you--tiny/snapshots/0123abcd"
    snapshot.mkdir(parents=True)
    (place / "models--you--tiny/blobs").mkdir()
    for number, file in enumerate(sorted(tiny.iterdir())):
        shutil.copy(file, place / f"models--you--tiny/blobs/{number}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    return snapshot


def projected_volume(tiny: Path, place: Path) -> Path:
    """A Kubernetes volume: every name links into `..data`, which links to a folder named by time."""
    volume = place / "volume"
    shutil.copytree(tiny, volume / "..2026_01_01_00_00_00.1")
    (volume / "..data").symlink_to("..2026_01_01_00_00_00.1")
    for file in tiny.iterdir():
        (volume / file.name).symlink_to(f"..data/{file.name}")
    return volume


def hard_links(tiny: Path, place: Path) -> Path:
    shutil.copytree(tiny, place / "store")
    shutil.copytree(place / "store", place / "linked", copy_function=os.link)
    return place / "linked"


def absolute_links(tiny: Path, place: Path) -> Path:
    """A link farm, as of Nix, Bazel and GNU stow."""
    (place / "farm").mkdir()
    for file in tiny.iterdir():
        (place / "farm" / file.name).symlink_to(file.resolve())
    return place / "farm"


def chain_of_links(tiny: Path, place: Path) -> Path:
    """The folder itself at the end of several links, relative and absolute."""
    (place / "releases").mkdir()
    shutil.copytree(tiny, place / "releases/1")
    (place / "releases/current").symlink_to("1")
    (place / "models").symlink_to((place / "releases").resolve())
    (place / "bundle").symlink_to("models/current")
    return place / "bundle"


def read_only(tiny: Path, place: Path) -> Path:
    shutil.copytree(tiny, place / "fixed")
    for file in (place / "fixed").iterdir():
        file.chmod(0o444)
    (place / "fixed").chmod(0o555)
    return place / "fixed"


def chained_files(tiny: Path, place: Path) -> Path:
    """Links to links: a git-annex or DVC checkout of a Hugging Face cache."""
    snapshot, checkout = hub_cache(tiny, place), place / "checkout"
    checkout.mkdir()
    for file in snapshot.iterdir():
        (checkout / file.name).symlink_to(os.path.relpath(file, checkout))
    return checkout


@pytest.mark.parametrize(
    "make", [hub_cache, projected_volume, hard_links, absolute_links, chain_of_links, read_only, chained_files]
)
def test_bundles_load_where_other_tools_put_them(
    tiny: Path, tmp_path: Path, x: np.ndarray, vae: aaptvae.VAE, make: Callable[[Path, Path], Path]
) -> None:
    path = make(tiny, tmp_path)
    assert np.array_equal(aaptvae.load(path, sha256=vae.digest).embed(x), vae.embed(x))
    assert verify(path).passed


def test_a_swapped_volume_loads_as_the_new_bundle(tiny: Path, tmp_path: Path) -> None:
    """Kubernetes replaces `..data` by one rename; the names in the volume stay."""
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    volume = projected_volume(tiny, tmp_path)
    before = read_bundle(volume)
    make_tiny.write(volume / "..2026_02", make_tiny.make_files(make_tiny.weights(seed=9)))
    (volume / "..data_tmp").symlink_to("..2026_02")
    (volume / "..data_tmp").replace(volume / "..data")
    after = read_bundle(volume)
    assert after.digest == read_bundle(volume / "..2026_02").digest != before.digest


def test_a_volume_of_mixed_versions_is_refused(tiny: Path, tmp_path: Path) -> None:
    make_tiny = pytest.importorskip("make_tiny", reason="makes a bundle with the onnx package")
    volume = projected_volume(tiny, tmp_path)
    make_tiny.write(tmp_path / "new", make_tiny.make_files(make_tiny.weights(seed=9)))
    (volume / "encoder.onnx").unlink()
    (volume / "encoder.onnx").symlink_to(tmp_path / "new/encoder.onnx")
    with pytest.raises(BundleError, match=r"encoder.onnx is not the file the manifest describes"):
        read_bundle(volume)


def mounted(script: str, *arguments: Path) -> "subprocess.CompletedProcess[str]":
    """A shell script in a mount namespace of its own; skips where that is not allowed."""
    command = ["unshare", "-rm", "sh", "-ec", script, sys.executable, *map(str, arguments)]
    if sys.platform != "linux" or subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_read_only_bind_mount_loads(tiny: Path, tmp_path: Path) -> None:
    script = 'mount --bind "$1" "$2"; mount -o remount,ro,bind "$2"; ! touch "$2/x" 2>/dev/null; "$0" -m aaptvae verify "$2"'
    shutil.copytree(tiny, tmp_path / "source")
    (tmp_path / "mount").mkdir()
    done = mounted(script, tmp_path / "source", tmp_path / "mount")
    assert done.returncode == 0, done.stderr


def test_a_file_mounted_over_another_is_checked(tiny: Path, tmp_path: Path) -> None:
    """Docker's `-v file:file`: the same file loads, another one is refused."""
    shutil.copytree(tiny, tmp_path / "source")
    script = 'mount --bind "$1" "$2/encoder.onnx"; "$0" -m aaptvae info "$2"'
    assert mounted(script, tiny / "encoder.onnx", tmp_path / "source").returncode == 0
    done = mounted(script, tiny / "decoder.onnx", tmp_path / "source")
    assert "encoder.onnx" in done.stderr and "error: " in done.stderr
    device = mounted(script, Path("/dev/zero"), tmp_path / "source")
    assert "encoder.onnx is a folder, a device, a pipe" in device.stderr


def packed(folder: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    return data.getvalue()


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO])
def test_the_bytes_of_a_zip_are_a_bundle(
    tiny: Path, x: np.ndarray, vae: aaptvae.VAE, wrap: Callable[[bytes], bytes | io.BytesIO]
) -> None:
    data = packed(tiny)
    assert np.array_equal(aaptvae.load(wrap(data), sha256=vae.digest).embed(x), vae.embed(x))
    assert verify(wrap(data)).passed


def test_an_opened_zip_is_a_bundle(tiny: Path, tmp_path: Path, vae: aaptvae.VAE) -> None:
    (tmp_path / "tiny.zip").write_bytes(packed(tiny))
    with (tmp_path / "tiny.zip").open("rb") as file:
        assert aaptvae.load(file).digest == vae.digest


def test_a_vae_of_bytes_is_pickled_with_them(tiny: Path, tmp_path: Path, x: np.ndarray, vae: aaptvae.VAE) -> None:
    """Another process has neither the folder nor the zip."""
    (tmp_path / "pickle").write_bytes(pickle.dumps(aaptvae.load(packed(tiny))))
    np.save(tmp_path / "x.npy", x)
    code = "import pickle, numpy as np; np.save('z.npy', pickle.load(open('pickle', 'rb')).embed(np.load('x.npy')))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert np.array_equal(np.load(tmp_path / "z.npy"), vae.embed(x))


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        (None, InputError, "bundle is a NoneType: expected a path, hf://OWNER/NAME, the bytes of a .zip"),
        (3, InputError, "bundle is a int: expected a path"),
        (b".", InputError, r"bundle is the path b'\.' as bytes: expected text: pass '\.'"),
        (io.StringIO("x"), InputError, "bundle is a file opened as text: .*opened with 'rb'"),
        (b"bundle", BundleError, "the zip of 6 bytes is not a readable zip"),
        (io.BytesIO(), BundleError, "the zip of 0 bytes is not a readable zip"),
    ],
)
def test_other_objects_are_refused_with_words(place: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        aaptvae.load(place)


def test_the_manifest_alone_is_no_bundle(tiny: Path) -> None:
    with pytest.raises(BundleError, match=rf"manifest.json is a file of a bundle: give its folder, {tiny}"):
        aaptvae.load(tiny / MANIFEST)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("change", "card"),
    [
        (lambda path: None, "as exported"),
        (lambda path: path.write_bytes(b"---\nlicense: mit\n---\n" + path.read_bytes()), "edited"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")), "edited"),
        (lambda path: path.write_bytes(bytes(900_000)), "edited"),
        (lambda path: path.write_bytes(b""), "edited"),
        (lambda path: path.unlink(), "not readable"),
        (lambda path: (path.unlink(), path.symlink_to("/dev/zero")), "not readable"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "not readable"),
    ],
    ids=["same", "licence", "line ends", "long", "empty", "missing", "device", "fifo"],
)
def test_the_card_is_not_what_runs(copy: Path, vae: aaptvae.VAE, change: Callable[[Path], object], card: str) -> None:
    change(copy / MODEL_CARD)
    assert aaptvae.load(copy, sha256=vae.digest).digest == vae.digest
    report = verify(copy)
    assert report.passed and report.card == card
    assert MODEL_CARD not in read_bundle(copy).files


def test_an_edited_card_in_a_zip_loads(copy: Path, vae: aaptvae.VAE) -> None:
    (copy / MODEL_CARD).write_text("# mine")
    assert aaptvae.load(packed(copy)).digest == vae.digest
    (copy / MODEL_CARD).unlink()
    assert verify(packed(copy)).card == "not readable"


@pytest.mark.parametrize("pin", [None, "0" * 64])
def test_changed_line_ends_are_named(copy: Path, pin: str | None) -> None:
    (copy / MANIFEST).write_bytes((copy / MANIFEST).read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(BundleError, match=r"manifest.json has CRLF line ends, expected LF: git .*core.autocrlf"):
        aaptvae.load(copy, sha256=pin)


@pytest.mark.parametrize("attributes", [None, "* -text\n"])
def test_a_clone_with_autocrlf_says_or_loads(copy: Path, tmp_path: Path, attributes: str | None) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    if attributes is not None:
        (copy / ".gitattributes").write_text(attributes)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"],
        ["clone", "-q", "-c", "core.autocrlf=true", ".", str(tmp_path / "clone")],
    ):
        subprocess.run(["git", *command], cwd=copy, check=True, capture_output=True)
    if attributes is None:
        with pytest.raises(BundleError, match="CRLF line ends"):
            aaptvae.load(tmp_path / "clone")
    else:
        assert verify(tmp_path / "clone").passed
