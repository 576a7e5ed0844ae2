"""Hostile bundles by name: how each is made in an empty folder, and the words that refuse it. Digests and seals are right.

`python tests/trust/attacks.py` loads every one and prints what that took.
"""

import io
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime/bundle"))

import make_tiny
import msgspec
import numpy as np
import onnx
import test_graph_check
from onnx import helper, numpy_helper

from aaptvae.bundle import manifest as bundle
from aaptvae.bundle.manifest import MANIFEST, UNSEALED, Manifest
from aaptvae.bundle.npz import read_npz, write_npz

TINY = Path(make_tiny.HERE)
FILES = {path.name: path.read_bytes() for path in TINY.iterdir()}
TRUE = msgspec.json.decode(FILES[MANIFEST], type=Manifest)
ENCODER = len(FILES["encoder.onnx"])
MEGABYTE = 1 << 20


class Attack(NamedTuple):
    """`make` leaves something hostile in a folder and says where; `engine` if only onnxruntime can tell."""

    make: Callable[[Path], Path]
    words: str
    engine: bool = False


def write(folder: Path, files: dict[str, bytes]) -> Path:
    return make_tiny.write(folder / "bundle", files)


def signed(changes: dict[str, bytes], **fields: object) -> dict[str, bytes]:
    """The tiny bundle with other files or fields, its digests and its seal put right."""
    return make_tiny.seal(msgspec.structs.replace(TRUE, **fields), FILES | changes)


def files(words: str, changes: Callable[[], dict[str, bytes]], engine: bool = False, **fields: object) -> Attack:
    return Attack(lambda folder: write(folder, signed(changes(), **fields)), words, engine)


# Manifests


def resealed(data: bytes) -> bytes:
    """Any bytes with 64 zeros after "seal", the zeros replaced by the right digest."""
    return data.replace(UNSEALED, bundle.seal(data).encode())


def manifest(words: str, change: Callable[[dict[str, object]], object], dump: Callable[..., str] = json.dumps) -> Attack:
    def make(folder: Path) -> Path:
        fields = json.loads(FILES[MANIFEST]) | {"seal": UNSEALED.decode()}
        change(fields)
        return write(folder, FILES | {MANIFEST: resealed(dump(fields).encode())})

    return Attack(make, words)


def raw_manifest(words: str, data: Callable[[bytes], bytes]) -> Attack:
    """The manifest's bytes before sealing, changed."""
    blank = FILES[MANIFEST].replace(TRUE.seal.encode(), UNSEALED)
    return Attack(lambda folder: write(folder, FILES | {MANIFEST: resealed(data(blank))}), words)


def entry(**change: object) -> Callable[[dict[str, object]], object]:
    return lambda fields: next(f for f in fields["files"] if f["name"] == "encoder.onnx").update(change)


MANIFESTS = {
    "traversal": manifest("does not follow the schema", entry(name="../../etc/passwd")),
    "absolute": manifest("does not follow the schema", entry(name="/etc/passwd")),
    "backslash": manifest("does not follow the schema", entry(name="..\\secret")),
    "null in a name": manifest("does not follow the schema", entry(name="a\0b")),
    "manifest lists itself": manifest("lists .*manifest.json, .*each once", entry(name=MANIFEST)),
    "file listed twice": manifest("each once", lambda f: f["files"].append(f["files"][0])),
    "file not listed": manifest("each once", lambda f: f["files"].pop()),
    "huge declared size": manifest("lists 1099511\\d+ bytes of files", entry(bytes=1 << 40)),
    "negative size": manifest("does not follow the schema", entry(bytes=-1)),
    "larger than declared": manifest(f"encoder.onnx has {ENCODER} bytes: expected 3 at most", entry(bytes=3)),
    "smaller than declared": manifest("encoder.onnx is not the file the manifest describes", entry(bytes=ENCODER + 1)),
    "newer schema": manifest("has schema 3: .*pip install --upgrade", lambda f: f.update(schema_version=3)),
    "schema of 5000 digits": raw_manifest("not strict JSON", lambda d: d.replace(b'": 1,', b'": 1' + b"0" * 5000 + b",", 1)),
    "NaN": manifest("NaN is not a number", lambda f: f["parity"].update(tolerance=float("nan"))),
    "infinity": manifest("Infinity is not a number", lambda f: f["training"]["metrics"].update(r2=float("inf"))),
    "overflowing number": raw_manifest("does not follow the schema", lambda d: d.replace(b'"sigma": 0.3', b'"sigma": 1e999')),
    "duplicate keys": raw_manifest("a key occurs twice", lambda d: d.replace(b'"opset"', b'"opset": 20, "opset"', 1)),
    "100 MB string": Attack(
        lambda folder: write(folder, FILES | {MANIFEST: b'"' + b"a" * 100 * MEGABYTE + b'"'}),
        "manifest.json has 104857602 bytes: expected 1048576 at most",
    ),
    "deep nesting": raw_manifest("not strict JSON", lambda d: d.replace(b"{}", b"[" * 200_000 + b"]" * 200_000, 1)),
    "lone surrogate": raw_manifest("does not follow the schema", lambda d: d.replace(b'"tiny"', b'"\\ud800"')),
    "terminal codes in the name": manifest("does not follow the schema", lambda f: f.update(name="\x1b[2Jhi")),
    "unknown field": manifest("unknown field `run`", lambda f: f.update(run="rm -rf /")),
    "zero width": manifest("does not follow the schema", lambda f: f.update(input_dim=0)),
    "other width": manifest("describes other graphs", lambda f: f.update(input_dim=1 << 20)),
    "int64 overflow": manifest("does not follow the schema", lambda f: f.update(latent_dim=1 << 64)),
    "swapped tensors": manifest("describes other graphs", lambda f: f["encoder"]["outputs"].reverse()),
    "boolean for a number": manifest("does not follow the schema", lambda f: f.update(input_dim=True)),
    "space before the end": Attack(
        lambda folder: write(folder, FILES | {MANIFEST: FILES[MANIFEST] + b" "}), "was changed after it was sealed"
    ),
    "no seal": manifest("was changed after it was sealed", lambda f: f.pop("seal")),
    "a list": Attack(lambda folder: write(folder, FILES | {MANIFEST: b"[]"}), "has schema_version None"),
    "twin without files": manifest(
        "expected .*encoder.fp16.onnx",
        lambda f: f.update(twins=[{"precision": "fp16", "bytes_ratio": 1, "r2_loss": 0, "elbo_loss": 0, "mu_cosine": 1}]),
    ),
}


# Things that are no files


def special(words: str, make: Callable[[Path], object], name: str = "encoder.onnx") -> Attack:
    def build(folder: Path) -> Path:
        path = write(folder, FILES)
        (path / name).unlink()
        make(path / name)
        return path

    return Attack(build, words)


def bind(path: Path) -> None:
    """A socket; its name must be short, so it is made from within the folder."""
    before = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(before)


def device(path: Path) -> None:
    """/dev/zero itself where this user may make one, else a link to it."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError:
        path.symlink_to("/dev/zero")


def elsewhere(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A link to what `make` makes beside the bundle."""

    def link(path: Path) -> None:
        make(path.parent.parent / "elsewhere")
        path.symlink_to("../elsewhere")

    return link


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 42)


NO_FILE = "is a folder, a device, a pipe or a socket, or a link to one"
OTHER_FILE = "is not the file the manifest describes"
SPECIAL = {
    "symlink to another file": special(OTHER_FILE, lambda path: path.symlink_to("decoder.onnx")),
    "symlink to a file of the same size": special(OTHER_FILE, elsewhere(lambda path: path.write_bytes(bytes(ENCODER)))),
    "symlink to /etc/passwd": special("not strict JSON", lambda path: path.symlink_to("/etc/passwd"), MANIFEST),
    "symlink to /proc/self/environ": special(OTHER_FILE, lambda path: path.symlink_to("/proc/self/environ")),
    "dangling symlink": special("No such file or directory: encoder.onnx", lambda path: path.symlink_to("nowhere")),
    "symlink to itself": special("Too many levels of symbolic links", lambda path: path.symlink_to(path.name)),
    "symlink to a folder": special(NO_FILE, lambda path: path.symlink_to(".")),
    "symlink to a device": special(NO_FILE, lambda path: path.symlink_to("/dev/zero"), MANIFEST),
    "symlink to a FIFO": special(NO_FILE, elsewhere(os.mkfifo)),
    "symlink to a socket": special(NO_FILE, elsewhere(bind)),
    "symlink to 4 TiB": special("encoder.onnx has 4398046511104 bytes", elsewhere(sparse)),
    "hard link to another file": special(OTHER_FILE, lambda path: path.hardlink_to(path.parent / "decoder.onnx")),
    "FIFO": special(NO_FILE, os.mkfifo),
    "FIFO as manifest": special(NO_FILE, os.mkfifo, MANIFEST),
    "device": special(NO_FILE, device),
    "directory": special(NO_FILE, Path.mkdir, "golden.npz"),
    "socket": special(NO_FILE, bind),
    "4 TiB": special("encoder.onnx has 4398046511104 bytes", sparse),
    "4 TiB manifest": special("manifest.json has 4398046511104 bytes", sparse, MANIFEST),
    "symlink loop": Attack(lambda folder: loop(folder / "loop"), "Too many levels of symbolic links"),
    "null in the path": Attack(lambda folder: folder / "a\0b", "embedded null byte"),
    "surrogate in the path": Attack(lambda folder: folder / "\ud800", "surrogates not allowed"),
    "FIFO as the bundle": Attack(lambda folder: fifo(folder / "bundle.zip"), NO_FILE),
    "missing": Attack(lambda folder: folder / "nowhere", "No such file or directory"),
    "empty folder": Attack(lambda folder: folder, "No such file or directory: manifest.json"),
}


def loop(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


# Zips


def zipped(
    words: str,
    change: Callable[[dict[str, bytes]], list[tuple[str | zipfile.ZipInfo, bytes]]],
    after: Callable[[bytes], bytes] = lambda data: data,
    method: int = zipfile.ZIP_DEFLATED,
) -> Attack:
    """A zip of the tiny bundle's members as `change` gives them, its bytes as `after` leaves them."""

    def make(folder: Path) -> Path:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", method) as archive:
            for name, body in change(FILES):
                archive.writestr(name, body)
        path = folder / "bundle.zip"
        path.write_bytes(after(data.getvalue()))
        return path

    return Attack(make, words)


def same(members: dict[str, bytes]) -> list[tuple[str | zipfile.ZipInfo, bytes]]:
    return list(members.items())


def more(name: str | zipfile.ZipInfo, body: bytes = b"x") -> Callable[[dict[str, bytes]], list]:
    return lambda members: [*members.items(), (name, body)]


def link(members: dict[str, bytes]) -> list[tuple[str | zipfile.ZipInfo, bytes]]:
    info = zipfile.ZipInfo("encoder.onnx")
    info.external_attr = 0o120777 << 16
    return [*((name, body) for name, body in members.items() if name != "encoder.onnx"), (info, b"/etc/passwd")]


def directory(data: bytes, name: bytes, offset: int, value: bytes) -> bytes:
    """The archive with one field of a member's entry in the directory replaced."""
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name)) + offset
    return data[:at] + value + data[at + len(value) :]


def renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new)


def empty_entries(count: int) -> bytes:
    """Nothing but a directory of `count` names."""
    body = (b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a") * count
    return body + b"PK\x05\x06" + bytes(4) + struct.pack("<HHII", count & 0xFFFF, count & 0xFFFF, len(body), 0) + bytes(2)


def zip64(data: bytes) -> bytes:
    """A zip64 record that points to 2**60 entries at 2**60."""
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 60, 1 << 60, 1 << 60, 1 << 60)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(data) - 22, 1)
    return data[:-22] + record + locator + data[-22:-12] + b"\xff" * 10 + data[-2:]


PLAIN = "expected plain, unencrypted files with plain names"
ZIPS = {
    "zip traversal": zipped(PLAIN, more("../../evil.npz")),
    "zip absolute": zipped(PLAIN, more("/etc/cron.d/evil")),
    "zip folder": zipped(PLAIN, lambda members: [(f"tiny/{name}", body) for name, body in members.items()]),
    "zip null": zipped(f"{PLAIN}|not a readable zip", more("evilx.npz"), renamed(b"evilx", b"evi\0x")),
    "zip duplicate": zipped("or two of one name", more("encoder2onnx"), renamed(b"encoder2onnx", b"encoder.onnx")),
    "zip link": zipped(PLAIN, link),
    "zip encrypted": zipped(PLAIN, same, lambda data: directory(data, b"encoder.onnx", 8, b"\1")),
    "zip by bzip2": zipped("packed by method 12", same, method=zipfile.ZIP_BZIP2),
    "zip by lzma": zipped("packed by method 14", same, method=zipfile.ZIP_LZMA),
    "zip by nobody": zipped("packed by method 99", same, lambda data: directory(data, b"encoder.onnx", 10, b"\x63")),
    "zip bomb": zipped(r"unpacks to 2000\d+ bytes", more("bomb", bytes(200_000_000))),
    "zip bomb that declares little": zipped(
        "is not 9 bytes as declared|not a readable zip",
        more("bomb", bytes(50_000_000)),
        lambda data: directory(data, b"bomb", 24, struct.pack("<I", 9)),
    ),
    "zip that declares 4 GB": zipped(
        r"unpacks to 42949\d+ bytes", same, lambda data: directory(data, b"encoder.onnx", 24, b"\xf0\xff\xff\xff")
    ),
    "zip of 65 members": zipped("has 72 members", lambda members: [*members.items(), *((f"m{n}", b"") for n in range(65))]),
    "zip of 300,000 entries": Attack(
        lambda folder: put(folder / "bundle.zip", empty_entries(300_000)), "has 300000 entries: expected 64 members at most"
    ),
    "zip64 lies": zipped("not a readable zip", same, zip64),
    "zip that overlaps": zipped("not a readable zip", same, lambda data: directory(data, b"encoder.onnx", 42, bytes(4))),
    "zip cut short": zipped("not a readable zip", same, lambda data: data[:-30]),
    "zip with a broken member": zipped("not a readable zip", same, lambda data: data[:60] + b"\xff" * 20 + data[80:]),
    "zip without a manifest": zipped(
        "the zip has no manifest.json", lambda members: [m for m in members.items() if m[0] != MANIFEST]
    ),
    "zip of nothing": zipped("the zip has no manifest.json", lambda members: []),
    "zip that is text": Attack(lambda folder: put(folder / "bundle.zip", b"hello"), "not a readable zip"),
    "zip with a long comment": zipped(
        "not a readable zip|has no manifest.json", same, lambda data: data[:-2] + b"\xff\xff" + b"PK\x05\x06" * 10_000
    ),
}


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# Arrays


def arrays(name: str, words: str, engine: bool = False, **change: np.ndarray | None) -> Attack:
    """One array file with other arrays (None leaves one out)."""

    def changed() -> dict[str, bytes]:
        with np.load(io.BytesIO(FILES[name])) as file:
            held = dict(file) | change
        return {name: write_npz({key: value for key, value in held.items() if value is not None})}

    return files(words, changed, engine)


def header(text: str) -> bytes:
    """prior.npz with weights.npy made of this header and no numbers."""
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive, zipfile.ZipFile(io.BytesIO(FILES[bundle.PRIOR])) as old:
        for name in old.namelist():
            archive.writestr(zipfile.ZipInfo(name), member if name == "weights.npy" else old.read(name))
    return data.getvalue()


def pickled() -> bytes:
    data = io.BytesIO()
    np.save(data, np.array([print], object), allow_pickle=True)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in ("weights", "means", "factors"):
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue())
    return held.getvalue()


def golden(size: float) -> dict[str, bytes]:
    held = dict(
        read_npz(FILES[bundle.GOLDEN], "golden", {"x": 2, "mu": 2, "logvar": 2, "z": 2, "reconstruction": 2, "real_rows": 1})
    )
    return {bundle.GOLDEN: write_npz(held | {"mu": held["mu"] + np.float32(size)})}


ONES = np.ones
ARRAYS = {
    "pickle in an array": files("declares object", lambda: {bundle.PRIOR: pickled()}),
    "array of 2**60": files(
        "over 0 bytes",
        lambda: {bundle.PRIOR: header("{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,), }\n")},
    ),
    "code in an array header": files("a wrong .npy header", lambda: {bundle.PRIOR: header("__import__('os').abort()")}),
    "no arrays": files("prior.npz has a wrong central directory", lambda: {bundle.PRIOR: b""}),
    "prior of no width": arrays(
        bundle.PRIOR, "another width", weights=ONES(1), means=np.zeros((1, 0)), factors=np.zeros((1, 0, 0))
    ),
    "prior of NaN": arrays(bundle.PRIOR, "finite numbers", weights=np.array([np.nan, 1])),
    "prior of negative weights": arrays(bundle.PRIOR, "prior is no mixture", weights=np.array([2.0, -1])),
    "prior of another rank": arrays(bundle.PRIOR, "expected 1 dimensions", weights=ONES((2, 1))),
    "prior that is wider": arrays(bundle.PRIOR, "another width", means=ONES((2, 3)), factors=np.stack([np.eye(3)] * 2)),
    "likelihood without scale": arrays(bundle.LIKELIHOOD, "expected .*'scale'", scale=None),
    "likelihood of no scale": arrays(bundle.LIKELIHOOD, "not positive", scale=np.zeros(5)),
    "likelihood with tails nobody declared": arrays(bundle.LIKELIHOOD, "with student only", freedom=ONES(1)),
    "array nobody asked for": arrays(bundle.LIKELIHOOD, "expected .*export the bundle again", extra=ONES(1)),
    "golden vectors of another width": arrays(bundle.GOLDEN, "this bundle's widths", x=ONES((9, 6), np.float32)),
    "golden vectors that overflow": arrays(bundle.GOLDEN, "expected float32 vectors", x=np.full((9, 5), 1e300)),
    "no golden vectors": arrays(
        bundle.GOLDEN,
        "this bundle's widths",
        **{
            name: np.zeros((0, width), np.float32)
            for name, width in {"x": 5, "mu": 2, "logvar": 2, "z": 2, "reconstruction": 5}.items()
        },
    ),
    "golden vectors that do not match": files("mu differs from the golden vectors by", lambda: golden(10), engine=True),
}


# Graphs


def graph(change: Callable[[onnx.ModelProto], object], words: str, engine: bool = False) -> Attack:
    """A changed encoder whose digest in the manifest is right."""

    def changed() -> dict[str, bytes]:
        model = onnx.ModelProto.FromString(FILES["encoder.onnx"])
        change(model)
        return {"encoder.onnx": model.SerializeToString(deterministic=True)}

    return files(words, changed, engine)


def rebuilt(nodes: list[onnx.NodeProto], **weights: np.ndarray) -> Callable[[onnx.ModelProto], None]:
    """An encoder of these nodes and weights: every part allowed, the whole of them wrong."""

    def change(model: onnx.ModelProto) -> None:
        del model.graph.node[:], model.graph.initializer[:]
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(numpy_helper.from_array(np.float32(w), name) for name, w in weights.items())

    return change


def empty_weight(*dims: int) -> Callable[[onnx.ModelProto], None]:
    """A product with a weight that has no bytes and these dimensions."""

    def change(model: onnx.ModelProto) -> None:
        rebuilt(heads("x", "w"), w=np.zeros((0, 5)))(model)
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    return change


def heads(source: str, weight: str, *bias: str) -> list[onnx.NodeProto]:
    product = helper.make_node("Gemm", [source, weight, *bias], ["mu"], transB=1)
    return [product, helper.make_node("Identity", ["mu"], ["logvar"])]


def squared() -> dict[str, bytes]:
    """An int8 twin that sets every row of a batch against every other, three times over: memory by its fourth power."""
    model = onnx.ModelProto.FromString(FILES["encoder.onnx"])
    nodes, name = [], "x"
    for step in range(3):
        nodes += [
            helper.make_node("Unsqueeze", [name, f"axis{step}"], [f"u{step}"]),
            helper.make_node("Add", [f"u{step}", name], [f"a{step}"]),
        ]
        name = f"a{step}"
    rebuilt([*nodes, *heads("x", "w")], w=np.zeros((2, 5)))(model)
    model.graph.initializer.extend(numpy_helper.from_array(np.array([step]), f"axis{step}") for step in range(3))
    decoder = onnx.ModelProto.FromString(FILES["decoder.onnx"])
    return {
        f"{half}.int8.onnx": make_tiny.with_metadata(proto, bundle.metadata(TRUE, half, "int8"))
        for half, proto in (("encoder", model), ("decoder", decoder))
    }


OTHER = make_tiny.make_files(make_tiny.weights(seed=9))
TWIN = bundle.Twin(precision="int8", bytes_ratio=0.3, r2_loss=0, elbo_loss=0, mu_cosine=1)
ENGINE = "onnxruntime (refuses|cannot compute) a graph of this bundle"
OWN_METADATA = ("other pair", "missing metadata", "metadata twice")  # their words depend on what the metadata are
GRAPHS = {
    f"graph: {name}": graph(change, words)
    for name, (change, words) in test_graph_check.HOSTILE.items()
    if name not in OWN_METADATA
} | {
    "mixed halves": files("pair_id is not the manifest's", lambda: {"decoder.onnx": OTHER["decoder.onnx"]}),
    "encoder twice": files("aaptvae.graph is not the manifest's", lambda: {"decoder.onnx": FILES["encoder.onnx"]}),
    "no metadata": graph(lambda m: m.ClearField("metadata_props"), "is not the manifest's"),
    "no graph": files("it has IR None", lambda: {"encoder.onnx": b""}),
    "graph that is text": files("is refused", lambda: {"encoder.onnx": b"hello, world"}),
    "bytes after the graph": files(
        "unknown, repeated or of another wire type", lambda: {"encoder.onnx": FILES["encoder.onnx"] + b"\x0a\x00"}
    ),
    "int8 twin that grows": files("operator 'Unsqueeze'", squared, twins=(TWIN,)),
    "graph that gives another width": graph(rebuilt(heads("x", "w"), w=ONES((3, 5))), ENGINE, engine=True),
    "graph that gives its input": graph(
        rebuilt([helper.make_node("Identity", ["x"], [name]) for name in ("mu", "logvar")]), ENGINE, engine=True
    ),
    "bias that does not fit": graph(rebuilt(heads("x", "w", "b"), w=ONES((2, 5)), b=ONES(7)), ENGINE, engine=True),
    "bias that is the input": graph(rebuilt(heads("x", "w", "x"), w=ONES((2, 5))), ENGINE, engine=True),
    "weight that does not fit": graph(rebuilt(heads("x", "w"), w=ONES((2, 6))), ENGINE, engine=True),
    "weight of nothing": graph(empty_weight(0, 5), ENGINE, engine=True),
    "weight of nothing, 2**62 wide": graph(empty_weight(0, 1 << 62), ENGINE, engine=True),
    "weight of nothing, negative": graph(empty_weight(0, -5), ENGINE, engine=True),
    "bounds that are vectors": graph(
        rebuilt([*heads("x", "w")[:1], helper.make_node("Clip", ["mu", "b", "b"], ["logvar"])], w=ONES((2, 5)), b=ONES(7)),
        ENGINE,
        engine=True,
    ),
}

ATTACKS = MANIFESTS | SPECIAL | ZIPS | ARRAYS | GRAPHS


def build(folder: Path) -> dict[str, Path]:
    """Every attack, each in its own folder."""
    made = {}
    for number, (name, attack) in enumerate(ATTACKS.items()):
        place = folder / str(number)
        place.mkdir()
        made[name] = attack.make(place)
    return made


def verdicts(folder: Path) -> dict[str, dict[str, Any]]:
    """How loading each attack ended, in one process of its own: those first that onnxruntime must not see."""
    made = build(folder)
    jobs = [
        (name, str(made[name]), "int8" if "int8" in name else "fp32")
        for name in sorted(made, key=lambda name: ATTACKS[name].engine)
    ]
    command = [sys.executable, str(Path(__file__).with_name("judge.py"))]
    child = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=True)
    return json.loads(child.stdout)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = verdicts(Path(folder))
    slowest = max(found, key=lambda name: found[name]["seconds"])
    refused, peak = sum(v["error"] == "BundleError" for v in found.values()), max(v["peak"] for v in found.values())
    print(
        f"{len(found)} attacks, {refused} refused, slowest {found[slowest]['seconds']:.3f} s ({slowest}), "
        f"memory {peak / 1e6:.0f} MB at most"
    )
