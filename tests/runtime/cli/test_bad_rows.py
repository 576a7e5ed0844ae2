"""--on-bad-row skip: in every verb and format, bad rows are left out, listed and counted; the others keep their bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import Cli, cli  # noqa: F401 - a fixture

import aaptvae
from aaptvae.files import Layout, open_output

SKIP = ("--on-bad-row", "skip")


def write(path: str, rows: np.ndarray) -> str:
    with open_output(path, Layout(width=rows.shape[1], dtype=rows.dtype), force=True) as writer:
        writer.write(rows)
    return path


@pytest.fixture
def rows(x: np.ndarray, overflowing: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Rows of which some are bad: missing, infinite, too large for the model; and rows with others in their places."""
    bad = x.copy()
    bad[3, 2], bad[70, 0], bad[70, 1], bad[141], bad[299] = np.nan, np.inf, np.nan, overflowing, overflowing
    good = x.copy()
    good[[3, 70, 141, 299]] = x[0]
    return bad, good, [3, 70, 141, 299]


@pytest.mark.parametrize("format", ["npy", "csv", "parquet", "arrow"])
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "score"])
def test_bad_rows_are_left_out(cli: Cli, tiny: Path, rows: Any, verb: str, format: str) -> None:  # noqa: F811
    if format in ("parquet", "arrow"):
        pytest.importorskip("pyarrow")
    bad, good, left_out = rows
    assert cli(verb, tiny, write("good.npy", good), "-o", "good.out.npy").status == 0
    refused = cli(verb, tiny, write(f"x.{format}", bad), "-o", "out.npy")
    assert refused.status == 1 and "nan" in refused.err and not Path("out.npy").exists()
    done = cli(verb, tiny, f"x.{format}", "-o", "out.npy", *SKIP)
    assert done.status == 1
    assert np.array_equal(np.load("out.npy"), np.delete(np.load("good.out.npy"), left_out, axis=0), equal_nan=True)
    *listed, count = done.err.splitlines()
    named = [f"line {row + 1} " if format == "csv" and row < 100 else f"row {row}" for row in left_out]
    assert count == "skipped 4 rows" and [name in line for name, line in zip(named, listed, strict=True)] == [True] * 4


def test_latents_are_left_out_too(cli: Cli, tiny: Path, vae: aaptvae.VAE, x: np.ndarray) -> None:  # noqa: F811
    pytest.importorskip("pyarrow")
    z = vae.embed(x)
    z[[7, 64]] = np.nan, 3e38
    done = cli("decode", tiny, write("z.npy", z), "-o", "x.parquet", *SKIP)
    assert done.status == 1 and "row 7" in done.err and "row 64" in done.err and "skipped 2 rows" in done.err


def test_a_file_of_bad_rows_leaves_none(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    write("x.npy", np.full_like(x, np.nan))
    for output in ("z.npy", "z.csv", "z.jsonl"):
        assert cli("encode", tiny, "x.npy", "-o", output, *SKIP).err.endswith("skipped 300 rows\n")
    assert np.load("z.npy").shape == (0, 2) and not Path("z.csv").read_text()


def test_lists_of_other_lengths_are_left_out(cli: Cli, filling: Path, x: np.ndarray) -> None:  # noqa: F811
    """A list that is null is no row of missing values, which are filled in."""
    pa = pytest.importorskip("pyarrow")
    lists = x[:9].tolist()
    lists[2], lists[5], lists[7][1] = None, [1.0], None
    pa.parquet.write_table(pa.table({"id": list("rstuvwxyz"), "v": lists}), "x.parquet")
    done = cli("encode", filling, "x.parquet", "--id", "id", "-o", "z.csv", *SKIP)
    assert done.status == 1 and "row 2 holds null" in done.err and "row 5 holds null or a list not of length 5" in done.err
    assert [line.split(",")[0] for line in Path("z.csv").read_text().splitlines()] == ["id", *"rsuvxyz"]


def test_rows_without_a_known_condition_are_left_out(cli: Cli, given: Path, given_rows: Any) -> None:  # noqa: F811
    columns = {name: list(map(str, column)) for name, column in given_rows.items()} | {"id": [f"r{n}" for n in range(300)]}
    columns["kind"][5], columns["age"][9], columns["age"][200] = "q", "", "1e999"
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    Path("x.csv").write_text("\n".join(lines) + "\n")
    for verb in ("encode", "reconstruct", "score"):
        done = cli(verb, given, "x.csv", "-o", "z.csv", "--force", "--id", "id", *SKIP)
        assert done.status == 1 and done.err.endswith("skipped 3 rows\n")
        kept = [line.split(",")[0] for line in Path("z.csv").read_text().splitlines()[1:]]
        assert kept == [f"r{n}" for n in range(300) if n not in (5, 9, 200)]


def test_an_error_of_no_row_ends_the_job(cli: Cli, given: Path, given_rows: Any) -> None:  # noqa: F811
    np.save("x.npy", np.stack([given_rows[f"f{index}"] for index in range(5)], axis=1))
    done = cli("encode", given, "x.npy", "-o", "z.npy", *SKIP, "--condition", "kind=q", "--condition", "age=3")
    assert done.status == 1 and "error: condition kind is 'q'" in done.err and "skipped" not in done.err
