"""Columns that pass through keep their types and names; outputs never become inputs; rows are named as the file counts them."""

import datetime
import decimal
from pathlib import Path

import numpy as np
import pytest
from test_cli import Cli, cli  # noqa: F401 - a fixture

import aaptvae

IDS = {
    "big": [2**63 + 5, 2**64 - 1],
    "exact": [decimal.Decimal("1.50"), None],
    "when": [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), None],
    "raw": [b"\xff", b""],
    "parts": [[1, 2], []],
    "late": [None, None],
    "ok": [True, None],
}


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_ids_keep_their_types(cli: Cli, named: Path, x: np.ndarray, format: str) -> None:  # noqa: F811
    pa = pytest.importorskip("pyarrow")
    types = {"big": pa.uint64(), "late": pa.string(), "when": pa.timestamp("us", tz="Europe/Paris")}
    ids = pa.table({name: pa.array(values, types.get(name)) for name, values in IDS.items()})
    ids = ids.append_column("kind", pa.array(["u", "v"]).dictionary_encode())
    table = ids
    for index, name in enumerate("abcde"):
        table = table.append_column(name, pa.array(x[:2, index]))
    from pyarrow import feather, parquet  # noqa: PLC0415

    write, read = parquet.write_table, parquet.read_table
    if format == "arrow":
        write, read = feather.write_feather, feather.read_table
    write(table, f"in.{format}")
    done = cli("encode", named, f"in.{format}", "-o", f"out.{format}", "--id", ",".join(ids.schema.names))
    assert done.err == ""
    assert read(f"out.{format}").select(ids.schema.names).equals(ids)
    refused = cli("encode", named, f"in.{format}", "-o", "out.csv", "--id", ",".join(ids.schema.names))
    assert refused.status == 1 and "holds bytes, which csv does not" in refused.err and not Path("out.csv").exists()


def test_numbers_too_large_for_a_type_are_refused(cli: Cli, named: Path) -> None:  # noqa: F811
    pytest.importorskip("pyarrow")
    Path("in.jsonl").write_text('{"id": 73786976294838206464, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}\n')
    done = cli("encode", named, "in.jsonl", "--id", "id", "-o", "out.parquet")
    assert done.status == 1 and "the columns id hold values of several types, or too large ones" in done.err
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize(("verb", "name"), [("encode", "z0"), ("reconstruct", "x1"), ("score", "elbo")])
def test_an_id_is_no_name_of_a_result(cli: Cli, tiny: Path, x: np.ndarray, verb: str, name: str) -> None:  # noqa: F811
    rows = "\n".join(",".join(map(str, (7, *row))) for row in x[:3].tolist())
    Path("in.csv").write_text(f"{name},a,b,c,d,e\n{rows}\n")
    done = cli(verb, tiny, "in.csv", "--id", name, "-o", "out.csv")
    assert done.status == 1 and f"--id names {name}, which {verb} writes itself" in done.err and not Path("out.csv").exists()


@pytest.mark.parametrize(
    ("source", "output", "refused"),
    [
        ("d", "d/r.npy", True),
        ("d", "d/sub/r.npy", True),
        ("d", "./sub/../d/r.npy", True),
        ("d/*.npy", "d/r.npy", True),
        ("**/*.npy", "d/sub/r.npy", True),
        ("d", "d/.r.npy", False),
        ("d", "r.npy", False),
        ("d/*.npy", "d/sub/r.npy", False),
        ("d/x*.npy", "d/r.npy", False),
        ("d/*.npy", "d/r.csv", False),
    ],
)
def test_an_output_is_no_input(cli: Cli, tiny: Path, x: np.ndarray, source: str, output: str, refused: bool) -> None:  # noqa: F811
    """The next run on the same folder would read it as rows."""
    for folder in ("d/sub", "sub"):
        Path(folder).mkdir(parents=True)
    np.save("d/x.npy", x)
    done = cli("reconstruct", tiny, source, "-o", output)
    assert (f"{output} would be one of the files of {source}" in done.err, done.status) == (refused, int(refused))


@pytest.mark.parametrize("row", [0, 3, 63, 64, 199])
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "score", "interpolate"])
def test_a_row_too_large_is_named_in_every_verb(
    cli: Cli,  # noqa: F811
    tiny: Path,
    x: np.ndarray,
    overflowing: np.ndarray,
    verb: str,
    row: int,
) -> None:
    rows = np.concatenate([x, x])[:200].copy()
    rows[row] = overflowing
    np.save("x.npy", rows)
    done = cli(verb, tiny, "x.npy", "-o", "z.npy")
    assert done.status == 1 and f"x.npy row {row} is too large for the model" in done.err and not Path("z.npy").exists()


def test_a_pattern_of_all_folders_finds_all(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    for folder in (".", "p", "p/q"):
        Path(folder).mkdir(exist_ok=True)
        np.save(f"{folder}/x.npy", x)
    assert cli("encode", tiny, "**/x.npy", "-o", "z.csv").status == 0
    assert len(Path("z.csv").read_text().splitlines()) in (3 * len(x), 3 * len(x) + 1)


@pytest.mark.parametrize("verb", ["encode", "decode", "score", "interpolate"])
def test_an_empty_name_is_no_folder(cli: Cli, tiny: Path, x: np.ndarray, verb: str) -> None:  # noqa: F811
    """A variable of the shell that is not set."""
    np.save("x.npy", x)
    done = cli(verb, tiny, "", "-o", "z.csv")
    assert done.status == 1 and "the name of the feature file is empty" in done.err


def test_latents_in_another_order_are_matched(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    """Also for a model without names: the names z0, z1, ... are our own."""
    z = aaptvae.load(tiny).embed(x)
    Path("z.csv").write_text("z1,z0\n" + "\n".join(f"{b!r},{a!r}" for a, b in z.tolist()) + "\n")
    assert cli("decode", tiny, "z.csv", "-o", "x.npy").status == 0
    assert np.array_equal(np.load("x.npy"), aaptvae.load(tiny).decode(z))
