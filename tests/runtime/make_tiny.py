"""Makes the tiny bundle of the runtime tests, without torch: python tests/runtime/make_tiny.py

Random weights from a seed; the golden vectors come from the same formulas in float64 numpy.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from aaptvae.bundle import manifest as bundle
from aaptvae.bundle.graph_specs import decoder_spec, encoder_spec
from aaptvae.bundle.manifest import (
    Condition,
    FileEntry,
    Likelihood,
    Manifest,
    Parity,
    ParityCase,
    Prior,
    Scaler,
    Training,
    View,
)
from aaptvae.bundle.npz import write_npz
from aaptvae.density.observation import ObservationModel
from aaptvae.density.prior import LatentPrior

D, H, L = 5, 3, 2
HERE = Path(__file__).parent / "tiny"
Arrays = dict[str, np.ndarray]


def weights(seed: int, d: int = D, h: int = H, latents: int = L, given: int = 0) -> Arrays:
    """Weights of a network whose inputs have `given` numbers of conditions beside them."""
    rng = np.random.default_rng(seed)
    shapes = {
        "enc": (h, d + given),
        "mu": (latents, h),
        "mu_skip": (latents, d + given),
        "logvar": (latents, h),
        "dec": (h, latents + given),
        "out": (d, h),
        "out_skip": (d, latents + given),
    }
    arrays = {f"{name}.w": rng.standard_normal(shape) / np.sqrt(shape[1]) for name, shape in shapes.items()}
    arrays |= {f"{name}.b": 0.1 * rng.standard_normal(shape[0]) for name, shape in shapes.items()}
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def encoder(w: Arrays) -> onnx.ModelProto:
    d, source, joined, given = inputs_of(w, "x", w["enc.w"].shape[1])
    nodes = [
        *joined,
        gemm(source, "enc", "h"),
        helper.make_node("Relu", ["h"], ["a"]),
        gemm("a", "mu", "m"),
        gemm(source, "mu_skip", "s"),
        helper.make_node("Add", ["m", "s"], ["mu"]),
        gemm("a", "logvar", "v"),
        helper.make_node("Clip", ["v", "low", "high"], ["logvar"]),
    ]
    used = {name: w[name] for name in w if name.split(".")[0] in ("enc", "mu", "mu_skip", "logvar")}
    used |= {"low": np.float32(-30), "high": np.float32(20)}
    return model("encoder", nodes, used, {"x": d} | given, {"mu": len(w["mu.w"]), "logvar": len(w["mu.w"])})


def inputs_of(w: Arrays, name: str, width: int) -> tuple[int, str, list[onnx.NodeProto], dict[str, int]]:
    """Width of an input without conditions, the tensor that the layers read, the node that makes it, and the other input."""
    given = conditions_of(w)
    if not given:
        return width, name, [], {}
    return width - given, "joined", [helper.make_node("Concat", [name, "c"], ["joined"], axis=1)], {"c": given}


def conditions_of(w: Arrays) -> int:
    """How many numbers of conditions the network takes."""
    return int(w["dec.w"].shape[1] - len(w["mu.w"]))


def decoder(w: Arrays) -> onnx.ModelProto:
    latents, source, joined, given = inputs_of(w, "z", w["dec.w"].shape[1])
    nodes = [
        *joined,
        gemm(source, "dec", "h"),
        helper.make_node("Relu", ["h"], ["a"]),
        gemm("a", "out", "m"),
        gemm(source, "out_skip", "s"),
        helper.make_node("Add", ["m", "s"], ["reconstruction"]),
    ]
    used = {name: w[name] for name in w if name.split(".")[0] in ("dec", "out", "out_skip")}
    return model("decoder", nodes, used, {"z": latents} | given, {"reconstruction": len(w["out.w"])})


def gemm(source: str, layer: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Gemm", [source, f"{layer}.w", f"{layer}.b"], [target], transB=1)


def model(
    name: str, nodes: list[onnx.NodeProto], used: Arrays, inputs: dict[str, int], outputs: dict[str, int]
) -> onnx.ModelProto:
    values = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", width]) for n, width in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, name, *values, [numpy_helper.from_array(np.asarray(v), n) for n, v in used.items()])
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", bundle.OPSET)], ir_version=bundle.IR_VERSION, model_version=1
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def reference(
    w: Arrays,
) -> tuple[Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], Callable[[np.ndarray], np.ndarray]]:
    def linear(v: np.ndarray, name: str) -> np.ndarray:
        return v @ w[f"{name}.w"].astype(np.float64).T + w[f"{name}.b"]

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = np.maximum(linear(x, "enc"), 0)
        return linear(a, "mu") + linear(x, "mu_skip"), np.clip(linear(a, "logvar"), -30, 20)

    def decode(z: np.ndarray) -> np.ndarray:
        return linear(np.maximum(linear(z, "dec"), 0), "out") + linear(z, "out_skip")

    return encode, decode


def golden(w: Arrays) -> Arrays:
    rng = np.random.default_rng(1)
    given = conditions_of(w)
    d, latents = w["enc.w"].shape[1] - given, len(w["mu.w"])
    x = np.concatenate([rng.standard_normal((6, d)), np.zeros((1, d)), np.full((1, d), 1e3), np.full((1, d), 1e-40)])
    z = rng.standard_normal((6, latents))
    x, z = x.astype(np.float32), z.astype(np.float32)
    encode, decode = reference(w)
    c, c_z = (rng.standard_normal((len(rows), given)).astype(np.float32) for rows in (x, z))
    both = [np.concatenate(pair, axis=1) for pair in ((x, c), (z, c_z))] if given else [x, z]
    arrays = dict(zip(("x", "mu", "logvar", "z", "reconstruction"), (x, *encode(both[0]), z, decode(both[1])), strict=True)) | (
        {"c": c, "c_z": c_z} if given else {}
    )
    return {name: value.astype(np.float32) for name, value in arrays.items()} | {"real_rows": np.array([6])}


def make_files(
    w: Arrays,
    prior: LatentPrior | None = None,
    observation: ObservationModel | None = None,
    conditions: tuple[Condition, ...] = (),
) -> dict[str, bytes]:
    """Every file of a bundle with these weights, by name."""
    given = conditions_of(w)
    d, latents, hidden = w["enc.w"].shape[1] - given, len(w["mu.w"]), len(w["enc.w"])
    prior = prior or LatentPrior(
        np.array([0.25, 0.75]),
        np.array([[-1.0] * latents, [0.5] * latents]),
        np.stack([0.5 * np.eye(latents), np.tri(latents)]),
    )
    observation = observation or ObservationModel("gaussian", np.linspace(-1, 1, d), np.linspace(0.5, 2, d), np.array([0.3]))
    graphs = {"encoder": encoder(w), "decoder": decoder(w)}
    pair_id = hashlib.sha256(b"".join(g.SerializeToString(deterministic=True) for g in graphs.values())).hexdigest()
    case = ParityCase(graph="encoder", reference="float64", batch=9, inputs="golden", difference=0.0)
    manifest = Manifest(
        schema_version=bundle.SCHEMA_VERSION,
        name="tiny",
        input_dim=d,
        latent_dim=latents,
        hidden_dims=(hidden,),
        linear_skip=True,
        likelihood=Likelihood(kind=observation.kind, noise="learned", sigma=float(observation.sigma[0])),
        scaler=Scaler(kind="standard", constant_columns=0),
        prior=Prior(kind="mixture", components=len(prior.weights)),
        opset=20,
        ir_version=10,
        pair_id=pair_id,
        encoder=encoder_spec(d, latents, given),
        decoder=decoder_spec(d, latents, given),
        files=(),
        parity=Parity(tolerance=1e-5, comparisons=1, worst=(case,)),
        twins=(),
        training=Training(rows=1, seed=0, data_sha256="0" * 64, epochs=0, metrics={}, baseline={}),
        producer={"aaptvae": "make_tiny.py"},
        conditions=conditions,
    )
    files = {bundle.graph_file(name): with_metadata(graph, bundle.metadata(manifest, name)) for name, graph in graphs.items()}
    files |= {
        bundle.PRIOR: write_npz(prior.to_arrays()),
        bundle.LIKELIHOOD: write_npz(observation.to_arrays()),
        bundle.GOLDEN: write_npz(golden(w)),
        bundle.MODEL_CARD: b"# tiny\nRandom weights, for tests.\n",
    }
    return seal(manifest, files)


def make_viewed(w: Arrays, dim: int = 4) -> dict[str, bytes]:
    """The same bundle with both views: metric is 2 mu + 1, similarity a linear map to `dim` numbers."""
    files, rng = make_files(w), np.random.default_rng(7)
    manifest = msgspec.json.decode(files[bundle.MANIFEST], type=Manifest)
    latents = manifest.latent_dim
    figures = {"geometry": "euclidean", "recall": 0.5, "start_recall": 0.25}
    views = (
        View(name="metric", dim=latents, method="jacobian", **figures),
        View(name="similarity", dim=dim, method="linear", **figures),
    )
    manifest = msgspec.structs.replace(manifest, views=views)
    more = {
        "root.w": 2 * np.eye(latents),
        "root.b": np.ones(latents),
        "short.w": rng.standard_normal((dim, D)),
        "short.b": rng.standard_normal(dim),
    }
    more = w | {name: value.astype(np.float32) for name, value in more.items()}
    golden_arrays = golden(w)
    x = golden_arrays["x"].astype(np.float64)
    mu = reference(w)[0](x)[0]
    golden_arrays["metric"] = (2 * mu + 1).astype(np.float32)
    golden_arrays["similarity"] = (x @ more["short.w"].T + more["short.b"]).astype(np.float32)
    for name, graph in view_graphs(more).items():
        files[bundle.graph_file(name)] = with_metadata(graph, bundle.metadata(manifest, name))
    files[bundle.VIEWS] = write_npz({"inverse": 0.5 * np.eye(latents), "offset": np.ones(latents)})
    files[bundle.GOLDEN] = write_npz(golden_arrays)
    return seal(manifest, files)


def view_graphs(w: Arrays) -> dict[str, onnx.ModelProto]:
    """Graphs of both views from the encoder's weights, `root` and `short`."""
    mu = encoder(w).graph.node[:5]
    names = {"metric": [*mu, gemm("mu", "root", "metric")], "similarity": [gemm("x", "short", "similarity")]}
    layers = {"metric": ("enc", "mu", "mu_skip", "root"), "similarity": ("short",)}
    widths = {"metric": len(w["root.w"]), "similarity": len(w["short.w"])}
    return {
        name: model(
            name,
            nodes,
            {key: w[key] for key in w if key.split(".")[0] in layers[name]},
            {"x": w["enc.w"].shape[1]},
            {name: widths[name]},
        )
        for name, nodes in names.items()
    }


def with_metadata(graph: onnx.ModelProto, metadata: dict[str, str]) -> bytes:
    helper.set_model_props(graph, metadata)
    return graph.SerializeToString(deterministic=True)


def seal(manifest: Manifest, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with a manifest that lists them as they are now."""
    entries = tuple(
        FileEntry(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
        if name != bundle.MANIFEST
    )
    return files | {bundle.MANIFEST: bundle.encode_manifest(msgspec.structs.replace(manifest, files=entries))}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


if __name__ == "__main__":
    write(HERE, make_files(weights(seed=0)))
