"""The JSON files of a run: its configuration and its evaluation."""

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from aaptvae.bundle.manifest import ColumnName, Condition, Count, Digest, Width
from aaptvae.errors import InputError
from aaptvae.files.publish import publish_file, refuse_existing

from ..config import TrainConfig
from ..errors import RunError
from ..linear.baseline import ColumnR2
from .layout import CONFIG, EVALUATION

MAX_JSON = 16 << 20

T = TypeVar("T")


class RunConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`config.json`: size and digest of the features, and the options with every default decided."""

    input_dim: Width
    rows: Count
    data_sha256: Digest
    data_name: str = ""  # of the file or folder, without its path
    options: TrainConfig = field(name="train")
    copies: int | None = None  # rows that equal an earlier row; None in runs begun before they were looked for
    held_out_copies: int = 0  # held-out rows that equal a training row
    refit: bool = False  # whether the model is fitted again to all rows once it is judged
    bounded: bool = False  # older runs have networks without bounds
    capped: bool = True  # older runs have larger scales for columns with values far out
    findings: tuple[str, ...] = ()  # sentences about the columns of the table
    axes: Annotated[int, Meta(ge=0, le=1 << 20)] | None = None  # principal axes of the model, None for all
    columns: tuple[ColumnName, ...] | None = None  # names of the features [input_dim], None for features without names
    missing: int = 0  # values that were replaced by means, or rows that were left out for them
    warnings: tuple[str, ...] = ()  # about columns of the features
    conditions: tuple[Condition, ...] = ()  # given to encoder and decoder beside the features
    ids: tuple[ColumnName, ...] = ()  # columns that name rows


class RowFigures(Struct, frozen=True):
    """One row: its position in the table that was read, its ids as text, mean squared error of standardised columns, ELBO."""

    row: int
    ids: list[str]
    error: float
    elbo: float


class CategoryFigures(Struct, frozen=True):
    """Of the held-out rows of one category: their number, mean ELBO in nats, mean squared error of standardised columns."""

    condition: str
    category: str
    rows: int
    elbo: float
    error: float


class Evaluation(Struct, frozen=True, kw_only=True):
    """`evaluation.json`: figures of the model on held-out rows, the same figures of the baselines, and warnings."""

    rows: int
    epochs: int
    metrics: dict[str, float]
    baseline: dict[str, float]
    kl_per_latent: list[float]
    warnings: list[str]
    worst_columns: list[ColumnR2] = []
    heldout_elbo: list[float] = []  # of held-out rows, ascending, against which `score` takes p-values
    refit: bool = False  # figures are of the judged model; the one to use was then fitted again to all rows
    by_category: list[CategoryFigures] = []  # of the conditions, where there are some
    worst_rows: list[RowFigures] = []  # with the largest errors


def read_config(folder: Path) -> RunConfig:
    """The configuration of a run; `RunError` if it is missing or damaged."""
    return _read_json(folder / CONFIG, RunConfig)


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation of a finished run; `RunError` if the run is not finished."""
    refuse_unfinished(folder, EVALUATION)
    return _read_json(folder / EVALUATION, Evaluation)


def refuse_unfinished(folder: Path, name: str) -> None:
    """`RunError` for a run that does not have the file `name` yet."""
    if (folder / CONFIG).exists() and not (folder / name).exists():
        raise RunError(f"{folder} is not finished: continue it with the same aaptvae train command and --resume")


def is_empty(folder: Path) -> bool:
    """Whether `folder` does not exist or holds nothing."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def is_unfinished(folder: Path) -> bool:
    """Whether a training was interrupted here: it writes its configuration first and its evaluation last."""
    return (folder / CONFIG).exists() and not (folder / EVALUATION).exists()


def _read_json(path: Path, kind: type[T]) -> T:
    try:
        if path.stat().st_size > MAX_JSON:
            raise RunError(f"{path} is larger than {MAX_JSON} bytes: give a folder that aaptvae train wrote")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}: give a folder that aaptvae train wrote") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is damaged ({error}): train again, or restore the file") from None


def write_json(path: Path, value: Struct) -> None:
    """Write a struct as indented JSON, atomically."""
    with publish_file(path, force=True) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def check_folder(run: Path, force: bool) -> None:
    """`InputError` unless a new run may be written here."""
    if not force and is_unfinished(run):
        raise InputError(f"{run} is not finished: continue it with the same command and --resume, or name another folder")
    refuse_existing(run, force or is_empty(run))
    if not is_empty(run) and not (run / CONFIG).is_file():
        raise InputError(f"{run} holds something that is not a run: name another folder")
