"""The parsers that are fuzzed, inputs that they take, and how these are changed."""

import contextlib
import io
import json
import random
import re
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

import aaptvae
from aaptvae.bundle import manifest as bundle
from aaptvae.bundle.golden import Golden
from aaptvae.bundle.graph_check import check_graph, cut
from aaptvae.bundle.manifest import MANIFEST, UNSEALED, Manifest
from aaptvae.bundle.npz import read_npz
from aaptvae.bundle.reading import read_manifest
from aaptvae.bundle.zips import unzip
from aaptvae.density import observation as likelihood
from aaptvae.density import prior
from aaptvae.errors import AaptvaeError
from aaptvae.files import Layout, open_output
from aaptvae.files.binary import open_npy, open_npz, open_safetensors
from aaptvae.files.reading import Reading
from aaptvae.files.syntax import CsvSyntax, JsonSyntax
from aaptvae.files.table import RowReader, Source
from aaptvae.files.text import TextRows

sys.path.insert(0, str(Path(__file__).parent))
from mutate import Mutator, anywhere, in_json, in_npy, in_protobuf, in_zip

TINY = Path(__file__).parents[1] / "runtime/tiny"
CORPUS = Path(__file__).with_name("corpus")
SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - memory, where there is such a folder
FILES = {path.name: path.read_bytes() for path in TINY.iterdir()}
TRUE = msgspec.json.decode(FILES[MANIFEST], type=Manifest)
X = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
SEAL = re.compile(rb'"seal"\s*:\s*"([^"]*)"')


class Target(NamedTuple):
    """What is attacked: a parser, inputs that it takes, how they are changed, and its share of the executions."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    mutate: Mutator
    share: float


def resealed(data: bytes) -> bytes:
    """A manifest with the right seal, so that what is behind it is reached."""
    found = SEAL.search(data)
    if found is None:
        return data
    blank = data[: found.start(1)] + UNSEALED + data[found.end(1) :]
    return blank.replace(UNSEALED, bundle.seal(blank).encode())


def run_graph(data: bytes) -> None:
    check_graph(data, "encoder.onnx", TRUE.encoder, "fp32", bundle.metadata(TRUE, "encoder"))
    cut(data, "mu")


def run_prior(data: bytes) -> None:
    density = prior.LatentPrior.from_arrays(read_npz(data, bundle.PRIOR, prior.ARRAYS))
    z = density.draw(0, 0, 3)
    if z.shape[1]:
        density.log_density(z)


def run_likelihood(data: bytes) -> None:
    arrays = read_npz(data, bundle.LIKELIHOOD, likelihood.ARRAYS, likelihood.OPTIONAL)
    model = likelihood.ObservationModel.from_arrays("student" if "freedom" in arrays else "gaussian", arrays)
    if len(model.mean) == X.shape[1]:
        model.log_density(X, X + 1)
        model.add_noise(X, 0, 0, len(X))


def student() -> bytes:
    model = likelihood.ObservationModel("student", np.zeros(5), np.ones(5), np.ones(5), np.eye(5), 5.0)
    return aaptvae.bundle.npz.write_npz(model.to_arrays())


def table(format: str) -> Callable[[], list[bytes]]:
    """Feature files that our own writer makes."""

    def seeds() -> list[bytes]:
        if format == "safetensors":
            header = b'{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[6,5],"data_offsets":[0,120]}}'
            return [len(header).to_bytes(8, "little") + header + X.tobytes()]
        made = [b'{"id": "a", "x": [1, 2, 3, 4, 5]}\n' * 3] if format == "jsonl" else []
        with tempfile.TemporaryDirectory() as folder:
            for columns in ((), tuple("abcde"))[: 1 if format == "jsonl" else 2]:
                with open_output(Path(folder, f"x.{format}"), Layout(width=5, columns=columns), force=True) as writer:
                    writer.write(X)
                made.append(Path(folder, f"x.{format}").read_bytes())
        return made

    return seeds


def run_table(open_table: Callable[[io.BytesIO, int], RowReader]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        reader = open_table(io.BytesIO(data), len(data))
        rows = 0
        for batch in reader.batches(4):
            assert batch.shape[1] == reader.width
            rows += len(batch)
            if rows > 1000:
                break

    return run


def text(format: str) -> Callable[[bytes], None]:
    """Strict, and passing over bad lines."""
    syntax = CsvSyntax if format == "csv" else JsonSyntax

    def run(data: bytes) -> None:
        with contextlib.suppress(AaptvaeError):
            strict = Reading(width=5, skip_bad=True)
            run_table(lambda stream, _: TextRows(Source("x", stream, reading=strict), syntax))(data)
        run_table(lambda stream, _: TextRows(Source("x", stream), syntax))(data)

    return run


def on_disk(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser that takes a path."""

    def run(data: bytes) -> object:
        path = scratch() / f"x{suffix}"
        path.write_bytes(data)
        return read(path)

    return run


@cache
def scratch() -> Path:
    return Path(_kept.enter_context(tempfile.TemporaryDirectory(dir=SCRATCH)))


_kept = contextlib.ExitStack()


def read_toml(path: Path) -> object:
    from aaptvae_training.config import read_options  # noqa: PLC0415 - torch, only for the targets that need it

    return read_options(path, {})


def read_state(path: Path) -> object:
    from aaptvae_training.run.state import read_state as read  # noqa: PLC0415

    return read(path)


def toml() -> list[bytes]:
    made = [b'latent_dim = 8\nhidden_dim = [400, 200]\nsigma = "learned"\nepochs = 3\n', b"sigma = 0.5\nlinear_skip = true\n"]
    assert all(tomllib.loads(seed.decode()) for seed in made)
    return made


def state() -> list[bytes]:
    tensors = {
        "a": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]},
        "b": {"dtype": "F64", "shape": [1, 2], "data_offsets": [20, 36]},
    }
    header = json.dumps({"__metadata__": {"facts": '{"epoch": 1}'}, **tensors}).encode()
    return [len(header).to_bytes(8, "little") + header + X.tobytes()[:36]]


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body)
    return made.getvalue()


def in_bundle(data: bytes, choose: random.Random) -> bytes:
    """A bundle, zipped, with one file changed along its grain and every digest put right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = choose.choice(["encoder.onnx", "decoder.onnx", "prior.npz", "likelihood.npz", "golden.npz", MANIFEST])
    mutate = in_protobuf if name.endswith("onnx") else in_json if name == MANIFEST else in_zip(in_npy)
    files[name] = mutate(files[name], choose)
    with contextlib.suppress(msgspec.MsgspecError, UnicodeError):
        manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
        entries = tuple(
            bundle.FileEntry(name=entry.name, bytes=len(files[entry.name]), sha256=sha256(files[entry.name]).hexdigest())
            if entry.name in files
            else entry
            for entry in manifest.files
        )
        files[MANIFEST] = bundle.encode_manifest(msgspec.structs.replace(manifest, files=entries))
    return zipped(files)


def run_bundle(path: Path) -> None:
    """Loaded, onnxruntime and all, and used."""
    vae = aaptvae.load(path, golden=False, threads=1)
    x = np.resize(X, (6, vae.input_dim)) if vae.input_dim < 100 else None
    if x is not None:
        vae.encode(x)
        vae.score(x)
        vae.log_likelihood(x, 2, seed=0, prior="fitted")
        vae.reconstruct(np.tile(x, (200, 1)))
    vae.sample(3, seed=0, observation_noise=True)


def in_member(_: str, data: bytes, choose: random.Random) -> bytes:
    return anywhere(data, choose)


def archive(name: str) -> Callable[[], list[bytes]]:
    return lambda: [FILES[name]]


TARGETS = {
    "manifest": Target(lambda data: read_manifest(resealed(data)), archive(MANIFEST), in_json, 0.2),
    "graph": Target(run_graph, archive("encoder.onnx"), in_protobuf, 0.2),
    "zip": Target(lambda data: unzip(data, "x.zip", 1 << 20), archive("prior.npz"), in_zip(in_member), 0.08),
    "prior": Target(run_prior, archive("prior.npz"), in_zip(in_npy), 0.07),
    "likelihood": Target(run_likelihood, lambda: [FILES["likelihood.npz"], student()], in_zip(in_npy), 0.06),
    "golden": Target(lambda data: Golden.read(data, TRUE, np.ones(5)), archive("golden.npz"), in_zip(in_npy), 0.05),
    "csv": Target(text("csv"), table("csv"), anywhere, 0.08),
    "jsonl": Target(text("jsonl"), table("jsonl"), anywhere, 0.08),
    "npy": Target(run_table(lambda s, n: open_npy("x", s, None)), table("npy"), anywhere, 0.05),
    "npz": Target(run_table(lambda s, n: open_npz("x", s)), table("npz"), in_zip(in_npy), 0.04),
    "safetensors": Target(run_table(lambda s, n: open_safetensors("x", s, n)), table("safetensors"), anywhere, 0.04),
    "toml": Target(on_disk(".toml", read_toml), toml, anywhere, 0.02),
    "state": Target(on_disk(".safetensors", read_state), state, anywhere, 0.02),
    "bundle": Target(on_disk(".zip", run_bundle), lambda: [zipped(FILES)], in_bundle, 0.01),
}
