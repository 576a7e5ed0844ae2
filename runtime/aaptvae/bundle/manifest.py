"""The manifest of a bundle: its types, the names of the bundle's files, and its JSON.

The exporter writes these structs and the runtime reads them. Files are read in `reading.py`.
"""

import hashlib
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION = 2  # 1: without `views`, `columns`, `missing` and `marginals`
UNSEALED = b"0" * 64
TOLERANCE = 1e-5  # fp32 on the exporting CPU, relative to max(1, max|reference|) of the row
MOST_CONDITIONS = 4096  # numbers of c
LOAD_TOLERANCE = 1e-4  # fp32 on other CPUs, which add in another order; a wrong graph differs by far more
OPSET: Final = 20
IR_VERSION: Final = 10

MANIFEST = "manifest.json"
MODEL_CARD = "README.md"
PRIOR = "prior.npz"
LIKELIHOOD = "likelihood.npz"
GOLDEN = "golden.npz"
VIEWS = "views.npz"
MARGINALS = "marginals.npz"

Precision = Literal["fp32", "int8", "fp16"]
Width = Annotated[int, Meta(ge=1, le=1 << 20)]
Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
FILE_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
Text = Annotated[str, Meta(max_length=200)]
ColumnName = Annotated[str, Meta(max_length=1000)]
Missing = Literal["error", "mean"]  # a missing feature is refused, or replaced by the mean of its column in training
T = TypeVar("T", bound="ManifestV1")


AXES = "axes.weight"  # of the decoder, [D, K]: its columns are the axes in units of each column's deviation


def graph_file(graph: str, precision: Precision = "fp32") -> str:
    """Name of a graph's file: `encoder.onnx`, `decoder.int8.onnx`."""
    return f"{graph}.onnx" if precision == "fp32" else f"{graph}.{precision}.onnx"


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part of the manifest: immutable, unknown fields are refused."""


class FileEntry(Part, frozen=True):
    """One file of the bundle: its exact size and digest."""

    name: Annotated[str, Meta(pattern=f"^{FILE_NAME}$")]
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
    """The density of latents under `prior="fitted"`; its arrays are in `prior.npz`."""

    kind: Literal["standard", "gaussian", "mixture"]
    components: Count


class ParityCase(Part, frozen=True):
    """Largest difference of one graph, |a - b| / max(1, max|reference|), and the input that gave it."""

    graph: Text
    reference: Text
    batch: Count
    inputs: Text
    difference: Annotated[float, Meta(ge=0)]


class Parity(Part, frozen=True):
    """Comparison of the graphs with torch, made at export."""

    tolerance: Annotated[float, Meta(gt=0)]
    comparisons: Count
    worst: tuple[ParityCase, ...]


class Twin(Part, frozen=True):
    """A reduced-precision copy of both graphs and its losses on held-out rows, relative to fp32."""

    precision: Literal["int8", "fp16"]
    bytes_ratio: float
    r2_loss: float
    elbo_loss: float
    mu_cosine: float


class Compaction(Part, frozen=True):
    """Removal of latent directions from the graphs, and its losses on held-out rows."""

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


class Condition(Part, frozen=True):
    """One condition of the rows: `categories` by name, as many numbers of c of which one is 1; without any a number.

    A number is (value - `mean`) / `scale` in c, by the rows of the training table.
    """

    name: ColumnName
    categories: tuple[ColumnName, ...] = ()
    mean: float = 0.0
    scale: Annotated[float, Meta(gt=0)] = 1.0

    @property
    def width(self) -> int:
        """Numbers of c that it takes."""
        return max(len(self.categories), 1)


def condition_dim(conditions: tuple[Condition, ...]) -> int:
    """C, the width of c."""
    return sum(condition.width for condition in conditions)


class Training(Part, frozen=True):
    """Facts about the training data (never rows of it) and metrics on held-out rows.

    `metrics` are the model's by name, `baseline` those of PCA / probabilistic PCA. Where `refit` is true they are those of
    the judged model, and the bundle holds a model that was fitted again to all `rows`, held-out ones included.
    """

    rows: Count
    seed: Count
    data_sha256: Digest
    epochs: Count
    metrics: dict[str, float]
    baseline: dict[str, float]
    refit: bool = False


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
    opset: Annotated[int, Meta(ge=OPSET, le=OPSET)]
    ir_version: Annotated[int, Meta(ge=IR_VERSION, le=IR_VERSION)]
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
        """Precisions that this bundle holds, fp32 first."""
        return ("fp32", *(twin.precision for twin in self.twins))


class Manifest(ManifestV1, frozen=True):
    """`manifest.json` of schema 2, and every older one after reading: fields that its schema lacks have their defaults."""

    views: tuple[View, ...] = ()
    columns: tuple[ColumnName, ...] | None = None  # names of the features [input_dim], None for features without names
    missing: Missing = "error"
    marginals: bool = False  # whether there is `marginals.npz`
    conditions: tuple[Condition, ...] = ()  # in their order in c, the second input of encoder and decoder

    @property
    def condition_dim(self) -> int:
        """C, the width of c; 0 for a model without conditions."""
        return condition_dim(self.conditions)

    def view(self, name: str) -> View | None:
        """The view of this name, None where the bundle has none."""
        return next((view for view in self.views if view.name == name), None)

    def graphs(self, precision: Precision) -> tuple[str, ...]:
        """Files of every graph that serves this precision."""
        views = (graph_file(view.name, view.precision(precision)) for view in self.views)
        return graph_file("encoder", precision), graph_file("decoder", precision), *views


SCHEMAS: dict[int, type[ManifestV1]] = {1: ManifestV1, 2: Manifest}  # by schema_version


def metadata(manifest: Manifest, graph: str, precision: Precision = "fp32") -> dict[str, str]:
    """`metadata_props` of a graph, by which graphs of two bundles are never combined."""
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
    blank = _as_struct(msgspec.structs.replace(manifest, seal=UNSEALED.decode()), SCHEMAS[manifest.schema_version])
    fields = msgspec.to_builtins(blank)
    if not fields.get("conditions"):  # older versions refuse a field that they do not know
        fields.pop("conditions", None)
    data = msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"
    return data.replace(b'"seal": "' + UNSEALED, b'"seal": "' + seal(data).encode())


def decode_manifest(data: bytes, version: int) -> Manifest:
    """The manifest of JSON of a schema version in `SCHEMAS`; `MsgspecError` for anything else."""
    return _as_struct(msgspec.json.decode(data, type=SCHEMAS[version]), Manifest)


def _as_struct(manifest: ManifestV1, struct: type[T]) -> T:
    """The fields that another version's struct has too."""
    return struct(**{name: getattr(manifest, name) for name in struct.__struct_fields__ if hasattr(manifest, name)})


def seal(unsealed: bytes) -> str:
    """SHA-256 of a manifest whose seal is 64 zeros, which reveals any later change."""
    return hashlib.sha256(unsealed).hexdigest()
