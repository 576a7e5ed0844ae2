"""Tables as files: NAME.npz with x, train, test, labels, kind and latents, and NAME.npy with the features alone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import others, pictures, sources, texts
from .table import SOURCES, MissingPackageError, Source, Table

NAMES = tuple(SOURCES)
MODULES = (sources, pictures, texts, others)  # importing them fills the list


def tables(names: list[str] | None = None, folder: Path | None = None) -> Iterator[Table]:
    """The named tables, or all, out of `folder` where they were written there; others of missing packages are skipped aloud."""
    for name in names or NAMES:
        if folder and (folder / f"{name}.npz").exists():
            yield _read(folder, SOURCES[name])
            continue
        try:
            yield SOURCES[name].table()
        except MissingPackageError as error:
            print(f"skipped {error}", file=sys.stderr, flush=True)


def _read(folder: Path, source: Source) -> Table:
    with np.load(folder / f"{source.name}.npz") as file:
        labels = file.get("labels")
        arrays = file["x"], file["train"], file["test"]
        return Table(source.name, source.kind, source.split, source.package, *arrays, labels, int(file["latents"]))


def export(folder: Path, names: list[str] | None = None) -> None:
    """Write each table; a file that is already there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    left = [name for name in names or NAMES if not (folder / f"{name}.npz").exists()]
    for table in tables(left) if left else ():
        labels = {} if table.labels is None else {"labels": table.labels}
        facts = {"kind": table.kind, "split": table.split, "latents": table.latents}
        np.save(folder / f"{table.name}.npy", table.x)
        np.savez(folder / f"{table.name}.npz", x=table.x, train=table.train, test=table.test, **labels, **facts)
        classes = "" if table.labels is None else f", {table.labels.max() + 1} classes"
        shape = f"{table.x.shape[0]} x {table.x.shape[1]}"
        print(f"{table.name}: {shape}, {table.kind}, {table.split} split, {table.latents} latents{classes}", flush=True)
