"""hf:// addresses on the command line and in Python, against a local server that speaks the Hub's protocol."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_server import TOKEN, Hub, Repository, serving

needs_hub = pytest.mark.skipif(importlib.util.find_spec("huggingface_hub") is None, reason="needs aaptvae[hub]")
Command = Callable[..., "subprocess.CompletedProcess[str]"]
# Xet stores content in chunks on servers of its own; without it, large files go by Git LFS, which the local server speaks.
NO_XET = {"HF_HUB_DISABLE_XET": "1"}
CARD = "---\nlicense: mit\ntags:\n- vae\n---\n\n# tiny\n"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as server:
        yield server


@pytest.fixture
def place(tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny, tmp_path / "work/tiny")
    (tmp_path / "work/tiny/README.md").write_text(CARD)
    np.save(tmp_path / "work/x.npy", np.zeros((7, 5), np.float32))
    return tmp_path


@pytest.fixture
def python(hub: Hub, place: Path) -> Command:
    """Runs Python with this server as the Hub, a cache of its own and, unless told otherwise, the token."""

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        surroundings = clean | {"HF_ENDPOINT": hub.url, "HF_HOME": str(place / "cache"), "HF_TOKEN": TOKEN} | NO_XET | variables
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=place / "work",
            env={name: value for name, value in surroundings.items() if value},
            capture_output=True,
            text=True,
            check=False,
        )
        assert TOKEN not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def aaptvae(python: Command) -> Command:
    return lambda *arguments, **variables: python("-m", "aaptvae", *arguments, **variables)


def hold(hub: Hub, folder: Path, private: bool = False, **changes: bytes) -> str:
    """A repository you/tiny with the files of a folder; its commit."""
    repository = hub.repositories["you/tiny"] = Repository(private)
    return repository.commit("main", {path.name: path.read_bytes() for path in folder.iterdir()} | changes)


@needs_hub
def test_every_verb_takes_an_address(hub: Hub, place: Path, aaptvae: Command) -> None:
    hold(hub, place / "work/tiny")
    for verb in (["info"], ["verify"], ["bench", "--precision", "fp32"], ["encode"], ["sample"]):
        rest = {"encode": ["x.npy", "-o", "z.npy"], "sample": ["-n", "3", "-o", "s.npy"]}.get(verb[0], [])
        done = aaptvae(verb[0], "hf://you/tiny", *verb[1:], *rest)
        assert done.returncode == 0, done.stderr
    local = aaptvae("encode", "tiny", "x.npy", "-o", "local.npy")
    assert local.returncode == 0
    assert (place / "work/z.npy").read_bytes() == (place / "work/local.npy").read_bytes()


@needs_hub
def test_only_needed_files_are_downloaded(hub: Hub, place: Path, aaptvae: Command) -> None:
    commit = hold(hub, place / "work/tiny", **{"unasked.bin": b"x"})
    assert aaptvae("info", "hf://you/tiny").returncode == 0
    got = {request.rpartition("/")[2] for request in hub.requests if "/resolve/" in request}
    assert got == {"manifest.json", "encoder.onnx", "decoder.onnx", "prior.npz", "likelihood.npz", "golden.npz"}
    assert {path.name for path in (place / f"cache/hub/models--you--tiny/snapshots/{commit}").iterdir()} == got


@needs_hub
def test_the_cache_serves_when_offline(hub: Hub, place: Path, aaptvae: Command) -> None:
    commit = hold(hub, place / "work/tiny")
    assert aaptvae("info", "hf://you/tiny").returncode == 0
    hub.requests.clear()
    for address in ("hf://you/tiny", f"hf://you/tiny@{commit}"):
        assert aaptvae("info", address, HF_HUB_OFFLINE="1").returncode == 0
    assert aaptvae("info", f"hf://you/tiny@{commit}").returncode == 0
    assert not [request for request in hub.requests if "you/tiny" in request]
    done = aaptvae("info", "hf://you/other", HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "manifest.json of hf://you/other: it is not in the cache, and the Hub is offline" in done.stderr


@needs_hub
def test_a_revision_and_a_digest_pin_a_bundle(hub: Hub, place: Path, aaptvae: Command) -> None:
    first = hold(hub, place / "work/tiny")
    digest = aaptvae("info", "hf://you/tiny", "--digest").stdout.strip()
    hub.repositories["you/tiny"].commit("main", {"manifest.json": b"{}"})
    assert aaptvae("encode", f"hf://you/tiny@{first}", "x.npy", "-o", "z.npy", "--sha256", digest).returncode == 0
    done = aaptvae("verify", "hf://you/tiny", "--sha256", digest)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"expected {digest}: this is another bundle than the pinned one" in done.stderr


@needs_hub
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("hf://you/nothing", "there is no such repository, or it is private: .*hf auth login"),
        ("hf://you/tiny@v9", "there is no such revision"),
        ("hf://you/empty", "there is no such file: expected a bundle"),
        ("hf://you/private", "there is no such repository, or it is private"),
        ("hf://you", "is not an address on the Hub: expected hf://OWNER/NAME"),
        ("hf://you/tiny/sub", "is not an address on the Hub"),
        ("hf://you/tiny@../../x", "is not an address on the Hub"),
        ("hf://you/huge", "manifest.json of hf://you/huge has 1048577 bytes: expected 1048576 at most"),
    ],
)
def test_what_cannot_be_had_is_said(hub: Hub, place: Path, python: Command, address: str, words: str) -> None:
    hold(hub, place / "work/tiny")
    hub.repositories["you/empty"] = Repository(False)
    hub.repositories["you/empty"].commit("main", {"README.md": b"# nothing"})
    hub.repositories["you/huge"] = Repository(False)
    hub.repositories["you/huge"].commit("main", {"manifest.json": bytes((1 << 20) + 1)})
    hub.repositories["you/private"] = Repository(True)
    code = f"import aaptvae, re\ntry: aaptvae.load({address!r})\nexcept aaptvae.AaptvaeError as e: print(e)"
    done = python("-c", code, HF_TOKEN="")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(words, done.stdout), done.stdout
    assert not list((place / "cache").rglob("*.incomplete"))


@needs_hub
def test_a_changed_file_of_a_repository_is_refused(hub: Hub, place: Path, aaptvae: Command) -> None:
    data = bytearray((place / "work/tiny/encoder.onnx").read_bytes())
    data[99] ^= 1
    hold(hub, place / "work/tiny", **{"encoder.onnx": bytes(data)})
    done = aaptvae("info", "hf://you/tiny")
    assert done.returncode == 1
    assert "encoder.onnx is not the file the manifest describes" in done.stderr


@needs_hub
def test_a_hub_vae_is_pickled_by_commit(hub: Hub, place: Path, python: Command) -> None:
    commit = hold(hub, place / "work/tiny")
    code = "import aaptvae, pickle\nopen('p', 'wb').write(pickle.dumps(aaptvae.load('hf://you/tiny')))"
    assert python("-c", code).returncode == 0
    assert f"hf://you/tiny@{commit}".encode() in (place / "work/p").read_bytes()
    again = python("-c", "import pickle; print(pickle.load(open('p', 'rb')).latent_dim)", HF_HUB_OFFLINE="1")
    assert again.stdout == "2\n", again.stderr


@needs_hub
def test_a_pushed_bundle_loads_from_its_address(hub: Hub, place: Path, aaptvae: Command) -> None:
    done = aaptvae("push", "tiny", "hf://you/tiny", "--license", "cc-by-4.0", "--private")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["you/tiny"]
    held = repository.commits[repository.branches["main"]]
    assert done.stdout == f"hf://you/tiny@{repository.branches['main']}\n"
    assert repository.private
    large = [path for path in (place / "work/tiny").iterdir() if path.suffix in (".onnx", ".npz")]
    assert sum(request.startswith("PUT /objects/") for request in hub.requests) == len(large) == len(hub.objects)
    assert sorted(held) == sorted(path.name for path in (place / "work/tiny").iterdir())
    assert held["README.md"].decode() == CARD.replace("mit", "cc-by-4.0")
    assert (place / "work/tiny/README.md").read_text() == CARD
    verified = json.loads(aaptvae("verify", done.stdout.strip(), "--json").stdout)
    assert verified["passed"] and verified["card"] == "edited"
    assert verified["digest"] in done.stderr


@needs_hub
def test_large_files_are_uploaded_once(hub: Hub, place: Path, aaptvae: Command) -> None:
    for branch in ("main", "v2"):
        assert aaptvae("push", "tiny", "hf://you/tiny", "--revision", branch).returncode == 0
    assert sum(request.startswith("PUT /objects/") for request in hub.requests) == len(hub.objects) > 0
    assert aaptvae("info", "hf://you/tiny@v2").returncode == 0


@needs_hub
def test_a_branch_is_made_and_pushed_to(hub: Hub, place: Path, aaptvae: Command) -> None:
    assert aaptvae("push", "tiny", "hf://you/tiny", "--revision", "v2").returncode == 0
    assert aaptvae("info", "hf://you/tiny@v2").returncode == 0
    assert "manifest.json" not in hub.repositories["you/tiny"].commits.get(
        hub.repositories["you/tiny"].branches.get("main"), {}
    )


@needs_hub
@pytest.mark.parametrize(
    ("options", "variables", "words"),
    [
        (["--license", "mine"], {}, '"license" must be one of'),
        (["--private"], {}, "hf://you/tiny exists and is public"),
        ([], {"HF_TOKEN": ""}, "log in with `hf auth login`"),
        ([], {"HF_TOKEN": "hf_wrong_token"}, "log in with `hf auth login`"),
        ([], {"HF_HUB_OFFLINE": "1"}, "cannot push to hf://you/tiny"),
    ],
)
def test_a_refused_push_commits_nothing(
    hub: Hub, aaptvae: Command, options: list[str], variables: dict[str, str], words: str
) -> None:
    hub.repositories["you/tiny"] = Repository(False)
    done = aaptvae("push", "tiny", "hf://you/tiny", *options, **variables)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert words in done.stderr
    assert "hf_" not in done.stderr
    assert hub.repositories["you/tiny"].commits == {}


@needs_hub
@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("# tiny\n", "README.md names no licence: add --license"),
        ("---\na: [\n---\n", "front matter of README.md is not valid YAML"),
        ("---\n- a list\n---\n", "front matter of README.md is not valid YAML"),
    ],
)
def test_a_card_without_licence_is_not_pushed(hub: Hub, place: Path, aaptvae: Command, card: str, words: str) -> None:
    (place / "work/tiny/README.md").write_text(card)
    done = aaptvae("push", "tiny", "hf://you/tiny")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert words in done.stderr
    assert hub.repositories == {}


@needs_hub
def test_a_card_without_front_matter_gets_one(hub: Hub, place: Path, aaptvae: Command) -> None:
    (place / "work/tiny/README.md").write_text("# tiny\n")
    done = aaptvae("push", "tiny", "hf://you/tiny", "--license", "mit")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    files = hub.repositories["you/tiny"].commits[done.stdout.strip().partition("@")[2]]
    assert files["README.md"] == b"---\nlicense: mit\n---\n\n# tiny\n"


@needs_hub
def test_a_damaged_bundle_is_not_pushed(hub: Hub, place: Path, aaptvae: Command) -> None:
    (place / "work/tiny/prior.npz").write_bytes(b"x")
    assert aaptvae("push", "tiny", "hf://you/tiny").returncode == 1
    assert hub.repositories == {}


def test_without_the_package_an_address_is_explained(place: Path) -> None:
    """An empty module table entry makes the import fail, as where the package is not installed."""
    code = "import sys; sys.modules['huggingface_hub'] = None\nfrom aaptvae.cli import main\nmain()"
    for verb in (["info", "hf://you/tiny"], ["push", str(place / "work/tiny"), "hf://you/tiny"]):
        done = subprocess.run([sys.executable, "-c", code, *verb], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr == "error: hf:// needs huggingface_hub, which is not installed: pip install huggingface_hub\n"


def test_local_bundles_never_import_the_package(tiny: Path) -> None:
    code = f"import aaptvae, sys; aaptvae.load({str(tiny)!r}); print('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
