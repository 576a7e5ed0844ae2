"""Columns by name on the command line: reordered to the same bits or refused; ids pass through; dialects of csv."""

import gzip
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from test_cli import Cli, cli  # noqa: F401 - a fixture

import aaptvae

NAMES = "abcde"

ARROW = ("parquet", "arrow") if importlib.util.find_spec("pyarrow") else ()  # formats that need pyarrow


def write(path: str, x: np.ndarray, names: str = NAMES, ids: list[str] | None = None) -> str:
    """The columns `names` of `x` [N, 5] in a csv, jsonl, parquet or arrow file, after a column of ids if given."""
    columns: dict[str, list[object]] = {} if ids is None else {"id": list(ids)}
    columns |= {name: [float(v) for v in x[:, NAMES.index(name) if name in NAMES else 0]] for name in names}
    rows = list(zip(*columns.values(), strict=True))
    if path.endswith(".csv"):
        Path(path).write_text("\n".join(",".join(map(str, row)) for row in [tuple(columns), *rows]) + "\n")
    elif path.endswith(".jsonl"):
        Path(path).write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import feather, parquet  # noqa: PLC0415

        write_table = parquet.write_table if path.endswith(".parquet") else feather.write_feather
        write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet", "arrow"])
def test_named_columns_are_matched_by_name(cli: Cli, named: Path, x: np.ndarray, format: str) -> None:  # noqa: F811
    expected = aaptvae.load(named).embed(x)
    for number, names in enumerate(("abcde", "edcba", "cadbe")):
        assert cli("encode", named, write(f"{number}.{format}", x, names), "-o", f"{number}.npy").err == ""
        assert np.array_equal(np.load(f"{number}.npy"), expected)
    for names, words in (("abcd", "lacks the column e"), ("abcdef", "has the column f, unknown"), ("abcdz", "has others: z")):
        done = cli("encode", named, write(f"bad.{format}", x, names), "-o", "z.npy")
        assert done.status == 1 and words in done.err and not Path("z.npy").exists()


@pytest.mark.parametrize("seed", range(20))
def test_random_orders_give_the_same_bits(cli: Cli, named: Path, x: np.ndarray, seed: int) -> None:  # noqa: F811
    """Columns, columns that pass by, format and verb are drawn at random."""
    rng = np.random.default_rng(seed)
    names = "".join(rng.permutation(list("abcde" + "pq"[: rng.integers(3)])))
    format = str(rng.choice(["csv", "jsonl", *ARROW]))
    beside = [name for name in names if name not in NAMES]
    options = [part for name in beside for part in (str(rng.choice(["--drop", "--id"])), name)]
    assert cli("encode", named, write(f"x.{format}", x[:40], names), "-o", "z.csv", *options).status == 0
    with aaptvae.files.open_rows("z.csv", columns=("z0", "z1")) as reader:
        found = np.concatenate(list(reader.batches(100))).astype(np.float32)
    assert np.array_equal(found, aaptvae.load(named).embed(x[:40]))
    if beside:
        assert "unknown to the model" in cli("encode", named, f"x.{format}", "-o", "w.csv").err


def test_shards_are_matched_by_name(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    Path("shards").mkdir()
    write("shards/x-2.csv", x[:100], "abcde")
    write("shards/x-10.csv", x[100:], "edcba")
    assert cli("encode", tiny, "shards", "-o", "z.npy").status == 0
    assert np.array_equal(np.load("z.npy"), aaptvae.load(tiny).embed(x))
    write("shards/x-11.csv", x[100:], "abcdz")
    done = cli("encode", tiny, "shards", "-o", "z.npy", "--force")
    assert done.status == 1 and "x-11.csv lacks the column e (and has others: z)" in done.err


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet", "arrow"])
def test_ids_pass_through_in_order(cli: Cli, named: Path, x: np.ndarray, format: str) -> None:  # noqa: F811
    ids = [f'row "{index}", x' if index % 7 == 0 and format != "csv" else f"r{index}" for index in range(len(x))]
    write(f"in.{format}", x, "edcba", ids)
    assert "has the column id, unknown" in cli("encode", named, f"in.{format}", "-o", "z.npy").err
    for out in ("csv", "jsonl", *ARROW):
        done = cli("encode", named, f"in.{format}", "-o", f"z.{out}", "--id", "id")
        assert (done.status, done.err) == (0, "")
        with aaptvae.files.open_rows(f"z.{out}", ids=("id",)) as reader:
            batches = list(reader.labelled(77))
        assert reader.columns == ("z0", "z1")
        assert [value for batch in batches for value in batch.ids[0]] == ids
        computed = np.concatenate([batch.values for batch in batches]).astype(np.float32)
        assert np.array_equal(computed, aaptvae.load(named).embed(x))
    assert "need csv, jsonl, parquet or arrow" in cli("encode", named, f"in.{format}", "-o", "z.npy", "--id", "id").err


def test_decoded_columns_have_the_original_names(cli: Cli, named: Path, x: np.ndarray) -> None:  # noqa: F811
    cli("encode", named, write("x.csv", x), "-o", "z.csv")
    for out in ("csv", "jsonl", *ARROW[:1]):
        assert cli("decode", named, "z.csv", "-o", f"x_hat.{out}").err == ""
        with aaptvae.files.open_rows(f"x_hat.{out}") as reader:
            assert reader.columns == tuple(NAMES)


def test_an_unnamed_bundle_tells_the_order(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    done = cli("encode", tiny, write("x.csv", x, "edcba"), "-o", "z.npy")
    assert done.status == 0 and "names no columns: those of x.csv are taken in their order, e, d, c, b, a" in done.err


def test_columns_and_drop_choose_features(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    write("x.csv", x, "edcba", ["text"] * len(x))
    expected = aaptvae.load(tiny).embed(x)
    done = cli("encode", tiny, "x.csv", "-o", "z.npy")
    assert "holds columns that are no numbers: id (text): leave them out with --drop" in done.err
    assert cli("encode", tiny, "x.csv", "-o", "z.npy", "--columns", "a,b,c,d,e").status == 0
    assert np.array_equal(np.load("z.npy"), expected)
    assert cli("encode", tiny, "x.csv", "-o", "y.npy", "--drop", "id", "--columns", "a,b,c,d,e").status == 0
    assert "has no column q" in cli("encode", tiny, "x.csv", "-o", "w.npy", "--drop", "q").err


def test_skipped_rows_take_their_ids_along(cli: Cli, named: Path, x: np.ndarray) -> None:  # noqa: F811
    lines = Path(write("x.csv", x[:9], "abcde", list("rstuvwxyz"))).read_text().splitlines()
    lines[3] = "t,1,2,nonsense,4,5"
    Path("x.csv").write_text("\n".join(lines) + "\n")
    done = cli("encode", named, "x.csv", "-o", "z.csv", "--id", "id", "--on-bad-row", "skip")
    assert done.status == 1 and "skipped: x.csv line 4" in done.err
    assert [line.split(",")[0] for line in Path("z.csv").read_text().splitlines()] == ["id", *"rsuvwxyz"]


def test_missing_values_are_filled_as_trained(cli: Cli, named: Path, filling: Path, x: np.ndarray) -> None:  # noqa: F811
    holes = x.copy()
    holes[3, 2] = np.nan
    vae = aaptvae.load(filling)
    full = x.copy()
    full[3, 2] = vae.observation.mean[2]
    assert np.array_equal(vae.embed(holes), vae.embed(full))
    Path("x.csv").write_text(Path(write("y.csv", holes)).read_text().replace("nan", ""))
    assert cli("encode", filling, "x.csv", "-o", "z.npy").err == ""
    assert np.array_equal(np.load("z.npy"), vae.embed(full))
    done = cli("encode", named, "x.csv", "-o", "w.npy")
    assert done.status == 1 and "x.csv line 5 has nan in column c" in done.err


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "score"])
def test_rows_that_overflow_are_refused_by_number(
    cli: Cli,  # noqa: F811
    tiny: Path,
    x: np.ndarray,
    overflowing: np.ndarray,
    verb: str,
) -> None:
    big = np.tile(x, (14, 1))
    big[3700] = overflowing
    np.save("big.npy", big)
    done = cli(verb, tiny, "big.npy", "-o", "z.csv")
    assert done.status == 1 and "big.npy row 3700 is too large for the model" in done.err and not Path("z.csv").exists()


TEXTS = {
    "x.csv.gz": lambda t: gzip.compress(t.encode()),
    "x.tsv": lambda t: t.replace(",", "\t").encode(),
    "semicolon.csv": lambda t: t.replace(",", ";").replace(".", ",").encode(),
    "points.csv": lambda t: t.replace(",", ";").encode(),
    "bom.csv": lambda t: b"\xef\xbb\xbf" + t.encode(),
    "comments.csv": lambda t: ("# units: mV\n" + t.replace("\n", "\n# note\n", 1)).encode(),
    "quoted.csv": lambda t: t.replace("a,b,c,d,e", '"1","2","3","4","5"').encode(),
    "counted.csv": lambda t: t.replace("a,b,c,d,e", "0,1,2,3,4").encode(),
    "crlf.csv": lambda t: t.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("name", TEXTS)
def test_everyday_text_is_read(cli: Cli, tiny: Path, x: np.ndarray, name: str) -> None:  # noqa: F811
    Path(name).write_bytes(TEXTS[name](Path(write("plain.csv", x)).read_text()))
    done = cli("encode", tiny, name, "-o", "z.npy")
    assert done.status == 0, done.err
    assert ("semicolons" in done.err) == (name in ("semicolon.csv", "points.csv"))
    assert np.array_equal(np.load("z.npy"), aaptvae.load(tiny).embed(x))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("400.5,401.0,401.5,402.0,402.5", "may be a header of numbers or a row"),
        ("10,20,30,40,50", "--header or --no-header"),
    ],
)
def test_a_doubtful_header_is_asked_about(cli: Cli, tiny: Path, x: np.ndarray, header: str, words: str) -> None:  # noqa: F811
    Path("x.csv").write_text(Path(write("y.csv", x)).read_text().replace("a,b,c,d,e", header))
    done = cli("encode", tiny, "x.csv", "-o", "z.npy")
    assert done.status == 1 and words in done.err
    for option, rows in (("--header", len(x)), ("--no-header", len(x) + 1)):
        assert cli("encode", tiny, "x.csv", "-o", "z.npy", "--force", option).status == 0
        assert len(np.load("z.npy")) == rows


@pytest.mark.parametrize("first", ["", '""'])
def test_a_stored_index_is_asked_about(cli: Cli, tiny: Path, x: np.ndarray, first: str) -> None:  # noqa: F811
    lines = Path(write("y.csv", x)).read_text().splitlines()
    Path("x.csv").write_text("\n".join([f"{first},{lines[0]}", *(f"{n},{line}" for n, line in enumerate(lines[1:]))]) + "\n")
    assert "counts up from 0" in cli("encode", tiny, "x.csv", "-o", "z.npy").err
    assert cli("encode", tiny, "x.csv", "-o", "z.npy", "--drop", "unnamed_0").status == 0
    assert np.array_equal(np.load("z.npy"), aaptvae.load(tiny).embed(x))
    assert cli("encode", tiny, "x.csv", "-o", "z.csv", "--id", "unnamed_0").status == 0
    assert Path("z.csv").read_text().startswith("unnamed_0,z0,z1\n0,")


def test_folders_and_brackets_are_taken_literally(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    for folder in ("data [v2]", "hive/part=1", "hive/part=2"):
        Path(folder).mkdir(parents=True)
        np.save(f"{folder}/x.npy", x)
    for path, rows in (("data [v2]/*.npy", 300), ("data [v2]", 300), ("hive", 600), ("hive/*/x.npy", 600)):
        assert cli("encode", tiny, path, "-o", "z.npy", "--force").status == 0
        assert len(np.load("z.npy")) == rows


def test_dev_stdout_is_refused_with_a_dash(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    np.save("x.npy", x)
    for path in ("/dev/stdout", "/dev/fd/1"):
        assert "use - to write to stdout" in cli("encode", tiny, "x.npy", "-o", path, "--format", "csv").err


@pytest.mark.parametrize("address", ["s3://bucket/x.npy", "https://host/x*.csv", "file:///x.npy"])
def test_addresses_are_no_paths(cli: Cli, named: Path, x: np.ndarray, address: str) -> None:  # noqa: F811
    np.save("x.npy", x)
    for arguments in ((named, address, "-o", "z.npy"), (named, "x.npy", "-o", address), (address, "x.npy", "-o", "z.npy")):
        done = cli("encode", *arguments)
        assert done.status == 1 and f"{address} is an address, not a path: expected a f" in done.err
