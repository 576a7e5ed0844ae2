"""The options of a training: one frozen struct, from which the flags, the TOML keys and the saved copy are made."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from aaptvae.bundle.manifest import Width
from aaptvae.errors import InputError

Column = Annotated[int, Meta(ge=0, lt=1 << 20)] | Annotated[str, Meta(min_length=1, max_length=1 << 12)]
ColumnName = Annotated[str, Meta(min_length=1, max_length=1000)]
Share = Annotated[float, Meta(gt=0, lt=0.5)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
MissingRule = Literal["error", "mean", "drop"]
Noise = Literal["learned", "optimal", "per_feature", "spectral"]

MAX_CONFIG_BYTES = 1 << 20


class TrainConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of `aaptvae train`; None means that the value follows from the data."""

    latent_dim: Annotated[Width, Meta(description="Width of the latent space.")] = 64
    hidden_dim: Annotated[
        tuple[Width, ...], Meta(description="Widths of the hidden layers, encoder first; repeat for more layers.")
    ] = (400,)
    linear_skip: Annotated[bool, Meta(description="Add a linear path beside each MLP and start it at pPCA.")] = True
    sigma: Annotated[Noise | Positive, Meta(description="Observation noise: a rule, or a fixed deviation.")] = "spectral"
    likelihood: Annotated[
        Literal["gaussian", "student", "bernoulli"], Meta(description="Observation model; bernoulli needs features in [0, 1].")
    ] = "student"
    dropout: Annotated[float, Meta(ge=0, lt=1, description="Dropout after every hidden layer.")] = 0.0
    beta: Annotated[NotNegative, Meta(description="Weight of the KL divergence.")] = 1.0
    kl_warmup: Annotated[Fraction, Meta(description="Share of the epochs over which beta rises from 0.")] = 0.0
    free_bits: Annotated[NotNegative, Meta(description="KL per latent, in nats, below which it is not penalised.")] = 0.0
    fidelity: Annotated[bool, Meta(description="Reach the R2 of PCA on validation rows; spectral noise only.")] = True
    epochs: Annotated[Width | None, Meta(description="Passes over the data [default: from the rows].")] = None
    batch_size: Annotated[Width | None, Meta(description="Rows per step [default: from the rows].")] = None
    learning_rate: Annotated[Positive, Meta(description="Largest learning rate of AdamW.")] = 1e-3
    weight_decay: Annotated[
        NotNegative | None, Meta(description="Decoupled decay of MLP weights [default: 1 beside a linear start, else 0.01].")
    ] = None
    warmup: Annotated[Fraction, Meta(description="Share of the epochs over which the learning rate rises.")] = 0.05
    clip_norm: Annotated[Positive, Meta(description="Largest gradient norm of a step.")] = 100.0
    patience: Annotated[Fraction, Meta(description="Stop after this share of the epochs without a better validation ELBO.")] = (
        0.25
    )
    validation_share: Annotated[Share, Meta(description="Share of the rows that select the best weights.")] = 0.1
    test_share: Annotated[Share, Meta(description="Share of the rows that are used by the evaluation alone.")] = 0.1
    similarity: Annotated[
        Literal["auto", "on", "off"],
        Meta(description="Vectors for search; auto: trained where rows have equal norms, as embeddings have, else PCA."),
    ] = "auto"
    similarity_dim: Annotated[Width | None, Meta(description="Width of that head [default: as latent-dim].")] = None
    split: Annotated[
        Literal["random", "time", "group"],
        Meta(description="Held-out rows: random ones, the last ones, or whole groups; copies of a row stay together."),
    ] = "random"
    split_column: Annotated[
        Column | None,
        Meta(
            description="Name of the column, or number from 0, that holds the time or the group, a feature or one of --id "
            "[default: row order]."
        ),
    ] = None
    condition: Annotated[
        tuple[ColumnName, ...],
        Meta(
            description="Columns that are no features but given to encoder and decoder: text and booleans are categories, "
            "numbers are numbers; A,B or repeated."
        ),
    ] = ()
    categorical: Annotated[
        tuple[ColumnName, ...], Meta(description="Of these, columns of numbers whose values are categories, such as labels.")
    ] = ()
    missing: Annotated[
        MissingRule,
        Meta(description="Missing values: refused, replaced by the mean of their column, or their rows left out."),
    ] = "error"
    refit: Annotated[
        bool | None, Meta(description="After judging, fit again to all rows [default: for tables of under 20,000 rows].")
    ] = None
    seed: Annotated[int, Meta(ge=0, le=1 << 53, description="Seed of split, weights, order and noise.")] = 0
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Meta(description="bf16 autocast; auto where the hardware has it.")
    ] = "auto"
    device: Annotated[Literal["auto", "cpu", "cuda"], Meta(description="Where to train.")] = "auto"


KEYS = tuple(field.name for field in msgspec.structs.fields(TrainConfig))


def read_options(path: Path | None, flags: dict[str, Any], begun_with: TrainConfig | None = None) -> TrainConfig:
    """Options from flags, else a TOML file, else the options a run was `begun_with`, else defaults.

    `InputError` names the key that is unknown or wrong.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_toml(path)
        make_config(values, source=str(path))  # so that the error names the file
    begun = {} if begun_with is None else msgspec.structs.asdict(begun_with)
    return make_config(begun | values | flags)


def make_config(values: dict[str, Any], source: str = "the options") -> TrainConfig:
    """Options from plain values; `InputError` names the one that is out of range."""
    if isinstance(values.get("hidden_dim"), int):
        values = values | {"hidden_dim": [values["hidden_dim"]]}
    for key in ("condition", "categorical"):
        if isinstance(values.get(key), str):
            values = values | {key: [values[key]]}
    try:
        return msgspec.convert(values, TrainConfig)
    except msgspec.ValidationError as error:
        raise InputError(f"{source}: {_explain(str(error), values)}; see aaptvae train --help for the range of each") from None


def _explain(text: str, values: dict[str, Any]) -> str:
    """msgspec's "Expected `int` >= 1 - at `$.latent_dim`" as "latent_dim is 0, expected int >= 1"."""
    if unknown := re.match(r"Object contains unknown field `(\w+)`", text):
        near = difflib.get_close_matches(unknown[1], KEYS, n=1)
        return f"{unknown[1]} is no option: " + (f"did you mean {near[0]}?" if near else f"expected {', '.join(KEYS)}")
    what, _, place = text.replace("`", "").partition(" - at $.")
    key = place.partition("[")[0]
    return f"{key} is {values[key]!r}, {what[:1].lower()}{what[1:]}" if key in values else text


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}: give --config a TOML file") from None
    if len(text) > MAX_CONFIG_BYTES:
        raise InputError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes: give --config a TOML file of options")
    try:
        return tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}: write one `key = value` per line") from None
