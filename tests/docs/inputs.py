"""Every input form, tried: the table of docs/inputs.md. `python tests/docs/inputs.py` writes it; test_inputs.py checks it.

Needs torch, pandas, Polars, pyarrow and scipy.
"""

import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from input_files import FILES, STREAMS
from input_objects import NAMES, OBJECTS, X

import aaptvae
from aaptvae.bundle.manifest import encode_manifest
from aaptvae.bundle.reading import read_manifest
from aaptvae.cli import app
from aaptvae.errors import AaptvaeError
from aaptvae_training.config import make_config
from aaptvae_training.features import open_features
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.train_run import prepare_run

ROOT = Path(__file__).parents[2]
EXPECTED = {
    "array of one row": X[:1],
    "array of no rows": X[:0],
    "array, bool": (X > 0).astype(np.float32),
    "array, float32, with 3e38": OBJECTS["array, float32, with 3e38"](),
    "array, int64, with values beyond float32": OBJECTS["array, int64, with values beyond float32"]().astype("f4"),
    "array, float64, with variation below float32": OBJECTS["array, float64, with variation below float32"]().astype("f4"),
}
PAGE = ROOT / "docs/inputs.md"
BEGIN, END = "<!-- written by tests/docs/inputs.py -->", "<!-- end -->"
Trial = Callable[[], np.ndarray]


def named_bundle(folder: Path) -> Path:
    """The tiny bundle of the tests, with its features named a to e."""
    import shutil  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    made = Path(shutil.copytree(ROOT / "tests/runtime/tiny", folder / "bundle"))
    manifest = msgspec.structs.replace(read_manifest((made / "manifest.json").read_bytes()), columns=NAMES)
    (made / "manifest.json").write_bytes(encode_manifest(manifest))
    return made


def outcome(trial: Trial, expected: np.ndarray) -> str:
    """`read` where a trial gives the expected numbers, how they differ, or the error."""
    try:
        found = trial()
    except AaptvaeError as error:
        return refused(str(error))
    if np.array_equal(found, expected):
        return "read"
    if found.shape != expected.shape:
        return f"read: {len(found)} rows of {found.shape[1]} columns"
    ordered = np.array_equal(found[:, np.lexsort(found)], expected[:, np.lexsort(expected)])
    return "read, columns in their order" if ordered else "READ AS OTHER NUMBERS"


def refused(text: str) -> str:
    """An error message in a cell of the table, without the folder of this trial."""
    text = re.sub(r"\S*/inputs-\w+/file-\d+(?= )", "the folder", " ".join(text.split()))
    text = re.sub(r"\S*/inputs-\w+/(file-\d+/)?", "", text).removeprefix("error: ").replace("|", "\\|")
    return f"refused: {text if len(text) < 330 else text[:330].rstrip() + ' ...'}"


class Progress(TrainingProgress):
    """Keeps notes, which the command line shows."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def trained_on(source: Any) -> tuple[np.ndarray, list[str]]:
    """The rows that `train(source)` learns from, read by its first stage, and what it notes."""
    progress = Progress()
    config = make_config({"latent_dim": 2})
    with open_features(source, missing=config.missing) as features:
        prepare_run(features, config, progress)
        return features.read(0, features.rows), progress.notes


def training(source: Any, expected: np.ndarray) -> str:
    """What `train` does with a table or a file."""
    notes: list[str] = []

    def trial() -> np.ndarray:
        rows, kept = trained_on(source)
        notes.extend(kept)
        return rows

    return "; ".join(
        [outcome(trial, expected), *(f"says: {re.sub(r'[^ ]*/inputs-[^/]*/file-[0-9]+/', '', note)}" for note in notes)]
    )


def command(*arguments: object) -> tuple[int, str]:
    """Status and stderr of a verb, run in this process."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            app.run([str(argument) for argument in arguments])
        except SystemExit as end:
            return int(str(end.code)), err.getvalue()


def encoded(bundle: Path, path: Path, out: Path) -> tuple[np.ndarray, str]:
    """Latents that `aaptvae encode` writes for a file, and what it says; raises its message."""
    status, err = command("encode", bundle, path, "-o", out, "--force")
    if status:
        raise AaptvaeError(err)
    return np.load(out), err


def file_row(name: str, make: Callable[[Path], Path | None], bundle: Path, folder: Path) -> tuple[str, str]:
    """What `aaptvae encode` and `train` do with a file that `make` writes."""
    place = folder / f"file-{len(list(folder.iterdir()))}"
    place.mkdir()
    path = make(place) or place
    expected = aaptvae.load(bundle).embed(X)
    said: list[str] = []

    def trial() -> np.ndarray:
        latents, err = encoded(bundle, path, folder / "z.npy")
        said.extend(err.splitlines())
        return latents

    here = str(place) + "/"
    runtime = "; ".join([outcome(trial, expected), *(f"says: {line}" for line in said)])
    return tuple(cell.replace(here, "").replace(str(place), "FOLDER") for cell in (runtime, training(str(path), X)))  # type: ignore[return-value]


def stream_row(arguments: tuple[str, ...], data: bytes, bundle: Path) -> str:
    """What a verb in a process of its own does with a pipe on stdin and stdout."""
    line = [sys.executable, "-m", "aaptvae", arguments[0], str(bundle), *arguments[1:]]
    done = subprocess.run(line, input=data, capture_output=True, check=False, cwd=bundle.parent)
    if done.returncode:
        return refused(done.stderr.decode())
    rows = np.loadtxt(io.BytesIO(done.stdout), delimiter=",", skiprows=1, ndmin=2) if done.stdout[:2] == b"z0" else None
    rows = np.load(io.BytesIO(done.stdout)) if rows is None else rows
    return outcome(lambda: rows.astype(np.float32), aaptvae.load(bundle).embed(X))


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Kind, input, what the runtime does, what training does."""
    with tempfile.TemporaryDirectory(prefix="inputs-") as text:
        folder = Path(text)
        bundle = named_bundle(folder)
        vae = aaptvae.load(bundle)
        for name, make in OBJECTS.items():
            rows_of = EXPECTED.get(name, X)
            embedded = outcome(lambda m=make: vae.embed(m()), vae.embed(rows_of))  # type: ignore[misc]
            yield "table in memory", name, embedded, training(make(), rows_of)
        for name, make_file in FILES.items():
            yield "file", name, *file_row(name, make_file, bundle, folder)
        for name, (arguments, data) in STREAMS.items():
            yield "pipe", name, stream_row(arguments, data(), bundle), training("-", X)


def written() -> str:
    """The table in Markdown."""
    lines, kind = [], ""
    for found, name, runtime, trained in rows():
        if found != kind:
            titles = {
                "table in memory": "| Python object | `vae.embed(x)` | `train(x)` |",
                "file": "| file | `aaptvae encode` | `aaptvae train` |",
                "pipe": "| pipe | verb of the runtime | `aaptvae train` |",
            }
            lines += [""] * bool(lines) + [titles[found], "|---|---|---|"]
            kind = found
        lines.append(f"| {name} | {runtime} | {trained if trained != runtime else 'the same'} |")
    return "\n".join(lines)


def page(table: str) -> str:
    """The page with this table."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(written()))
