"""What a bundle says about itself: the manifest's types, the names of its files and its strict JSON.

Defined once: the exporter writes these structs and the runtime reads them. Reading the files is `reading.py`.
"""

import hashlib
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION = 2  # 1: without `views`
UNSEALED = b"0" * 64
OPSET = 20
IR_VERSION = 10

MANIFEST = "manifest.json"
MODEL_CARD = "README.md"
PRIOR = "prior.npz"
LIKELIHOOD = "likelihood.npz"
GOLDEN = "golden.npz"
VIEWS = "views.npz"

Precision = Literal["fp32", "int8", "fp16"]
Width = Annotated[int, Meta(ge=1, le=1 << 20)]
Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(max_length=200)]
T = TypeVar("T", bound="ManifestV1")


def graph_file(graph: str, precision: Precision = "fp32") -> str:
    """Name of a graph's file: `encoder.onnx`, `decoder.int8.onnx`."""
    return f"{graph}.onnx" if precision == "fp32" else f"{graph}.{precision}.onnx"


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every piece of the manifest: immutable, and a field nobody knows is refused."""


class FileEntry(Part, frozen=True):
    """One file of the bundle: its exact size and digest."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    bytes: Count
    sha256: Digest


class TensorSpec(Part, frozen=True):
    """A named graph input or output; -1 is the batch axis."""

    name: Text
    datatype: Literal["FP32"]
    shape: tuple[Literal[-1], Width]


class GraphSpec(Part, frozen=True):
    """The contract of one graph, the same at every precision."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Scaler(Part, frozen=True):
    """Summary of the feature scaler that is folded into the graphs; its arrays are in `likelihood.npz`."""

    kind: Literal["identity", "standard"]
    constant_columns: Count


class Likelihood(Part, frozen=True):
    """Observation model p(x|z). `sigma` is the noise's root mean square in standardised units (0 for bernoulli)."""

    kind: Literal["gaussian", "student", "bernoulli"]
    noise: Literal["fixed", "learned", "optimal", "per_feature", "spectral", "none"]
    sigma: Annotated[float, Meta(ge=0)]
    freedom: Annotated[float, Meta(ge=0)] = 0.0


class Prior(Part, frozen=True):
    """Which density `prior="fitted"` draws latents from; its arrays are in `prior.npz`."""

    kind: Literal["standard", "gaussian", "mixture"]
    components: Count


class ParityCase(Part, frozen=True):
    """Worst difference seen in one graph: |a - b| over max(1, max|reference|), and where it was."""

    graph: Text
    reference: Text
    batch: Count
    inputs: Text
    difference: Annotated[float, Meta(ge=0)]


class Parity(Part, frozen=True):
    """The proof that the graphs compute what torch computes."""

    tolerance: Annotated[float, Meta(gt=0)]
    comparisons: Count
    worst: tuple[ParityCase, ...]


class Twin(Part, frozen=True):
    """A reduced-precision pair beside fp32 and what it costs on held-out rows."""

    precision: Literal["int8", "fp16"]
    bytes_ratio: float
    r2_loss: float
    elbo_loss: float
    mu_cosine: float


class Compaction(Part, frozen=True):
    """Latent directions left out of the graphs: how many the model has, and what fewer cost on held-out rows."""

    trained_latent_dim: Width
    variance_share: Annotated[float, Meta(gt=0, le=1)]
    r2_loss: float
    elbo_loss: float


class ViewTwin(Part, frozen=True):
    """A view's graph at reduced precision: its share of fp32's bytes, and the loss of recall@10 on held-out rows."""

    precision: Literal["int8", "fp16"]
    bytes_ratio: float
    recall_loss: float


class View(Part, frozen=True):
    """Another vector [N, dim] of each row, with a graph of its own, for search by cosine or by Euclidean distance.

    "metric" is an affine map of mu whose distances are those of the reconstructions; "similarity" is trained for search.
    `method` names how it was made; `recall` and `start_recall` are recall@10 on held-out rows, of the view and of PCA
    (cosine: SVD) with as many numbers. A precision without a twin in `twins` uses the fp32 graph.
    """

    name: Literal["metric", "similarity"]
    dim: Width
    geometry: Literal["cosine", "euclidean"]
    method: Text
    recall: float
    start_recall: float
    twins: tuple[ViewTwin, ...] = ()

    def precision(self, wanted: Precision) -> Precision:
        """The precision of the graph that serves `wanted`."""
        return wanted if any(twin.precision == wanted for twin in self.twins) else "fp32"


class Training(Part, frozen=True):
    """What the model was trained on (never the data itself) and how it fares on held-out rows.

    `metrics` are figures of the model by name, `baseline` the same figures of PCA / probabilistic PCA.
    """

    rows: Count
    seed: Count
    data_sha256: Digest
    epochs: Count
    metrics: dict[str, float]
    baseline: dict[str, float]


class ManifestV1(Part, frozen=True):
    """`manifest.json` of schema 1. The same run exported twice gives the same bytes: no timestamps, no paths."""

    schema_version: int
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    input_dim: Width
    latent_dim: Width
    hidden_dims: tuple[Width, ...]
    linear_skip: bool
    likelihood: Likelihood
    scaler: Scaler
    prior: Prior
    opset: Literal[20]
    ir_version: Literal[10]
    pair_id: Digest
    encoder: GraphSpec
    decoder: GraphSpec
    files: tuple[FileEntry, ...]
    parity: Parity
    twins: tuple[Twin, ...]
    training: Training
    producer: dict[str, Text]
    compaction: Compaction | None = None
    seal: Digest = UNSEALED.decode()

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Every precision that this bundle holds, fp32 first."""
        return ("fp32", *(twin.precision for twin in self.twins))


class Manifest(ManifestV1, frozen=True):
    """`manifest.json` of schema 2, and every older one after reading: fields that its schema lacks have their defaults."""

    views: tuple[View, ...] = ()

    def view(self, name: str) -> View | None:
        """The view of this name, None where the bundle has none."""
        return next((view for view in self.views if view.name == name), None)

    def graphs(self, precision: Precision) -> tuple[str, ...]:
        """Files of every graph that serves this precision."""
        views = (graph_file(view.name, view.precision(precision)) for view in self.views)
        return graph_file("encoder", precision), graph_file("decoder", precision), *views


# The type that `manifest.json` of each schema is decoded as.
SCHEMAS: dict[int, type[ManifestV1]] = {1: ManifestV1, 2: Manifest}


def encoder_spec(input_dim: int, latent_dim: int) -> GraphSpec:
    """`x [batch, input_dim] -> mu, logvar [batch, latent_dim]`."""
    outputs = _tensor("mu", latent_dim), _tensor("logvar", latent_dim)
    return GraphSpec(inputs=(_tensor("x", input_dim),), outputs=outputs)


def decoder_spec(input_dim: int, latent_dim: int) -> GraphSpec:
    """`z [batch, latent_dim] -> reconstruction [batch, input_dim]`."""
    return GraphSpec(inputs=(_tensor("z", latent_dim),), outputs=(_tensor("reconstruction", input_dim),))


def view_spec(input_dim: int, view: View) -> GraphSpec:
    """`x [batch, input_dim] -> metric or similarity [batch, dim]`."""
    return GraphSpec(inputs=(_tensor("x", input_dim),), outputs=(_tensor(view.name, view.dim),))


def _tensor(name: str, width: int) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", shape=(-1, width))


def metadata(manifest: Manifest, graph: str, precision: Precision = "fp32") -> dict[str, str]:
    """What every graph repeats in its `metadata_props`, so that halves of two bundles never mix."""
    facts = {
        "pair_id": manifest.pair_id,
        "graph": graph,
        "precision": precision,
        "input_dim": manifest.input_dim,
        "latent_dim": manifest.latent_dim,
        "schema_version": manifest.schema_version,
    }
    return {f"aaptvae.{name}": str(value) for name, value in facts.items()}


def encode_manifest(manifest: Manifest) -> bytes:
    """Manifest as JSON, indented and sealed: `seal` is the digest of these bytes with 64 zeros in its place."""
    blank = _as_schema(msgspec.structs.replace(manifest, seal=UNSEALED.decode()), SCHEMAS[manifest.schema_version])
    data = msgspec.json.format(msgspec.json.encode(blank), indent=2) + b"\n"
    return data.replace(b'"seal": "' + UNSEALED, b'"seal": "' + seal(data).encode())


def decode_manifest(data: bytes, version: int) -> Manifest:
    """`manifest.json` of this schema; raises `msgspec.MsgspecError` where it does not follow it."""
    return _as_schema(msgspec.json.decode(data, type=SCHEMAS[version]), Manifest)


def _as_schema(manifest: ManifestV1, schema: type[T]) -> T:
    """The same fields in another schema's struct, as far as it has them."""
    fields = {name: getattr(manifest, name) for name in schema.__struct_fields__ if hasattr(manifest, name)}
    return schema(**fields)


def seal(unsealed: bytes) -> str:
    """What `encode_manifest` writes into the manifest so that no byte of it changes unnoticed."""
    return hashlib.sha256(unsealed).hexdigest()
