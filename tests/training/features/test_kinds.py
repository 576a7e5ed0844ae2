"""A table with every fault at once: each is said in one line, with its columns, by `diagnose` and by `train`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import command

from aaptvae_training.features import ColumnFacts, Finding, findings

from ..conftest import metrics_of

ROWS = 400
FAULTS = {
    "constant": ["flat"],
    "copy": ["twin"],
    "binary": ["yes"],
    "count": ["visits"],
    "code": ["grade"],
    "zero_inflated": ["claims"],
    "heavy_tail": ["income"],
    "fill": ["sensor", "probe"],
    "time": ["seen", "stamp"],
    "date": ["day"],
    "identifier": ["shuffled"],  # `row_numbers` warns of "key"
}


def faulty(rows: int = ROWS) -> dict[str, np.ndarray]:
    """Columns by name: two plain ones, then one or two of each kind."""
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((2, rows))
    table = {"a": plain[0], "b": plain[0] + plain[1], "flat": np.full(rows, 3.0), "twin": 5 - 2 * plain[0]}
    table["yes"] = (plain[1] > 0).astype(float)
    table["visits"] = rng.poisson(6.0, rows).astype(float)
    table["grade"] = rng.integers(1, 6, rows).astype(float)
    table["claims"] = np.where(rng.random(rows) < 0.6, 0.0, rng.gamma(2.0, 100.0, rows))
    table["income"] = np.exp(3.0 * rng.standard_normal(rows))
    table["sensor"] = np.where(rng.random(rows) < 0.05, -999.0, rng.random(rows))
    table["probe"] = np.minimum(rng.standard_normal(rows), 1.0)
    table["seen"] = 1.6e9 + np.sort(rng.random(rows)) * 1e8
    table["stamp"] = 1.7e9 + rng.random(rows)
    table["day"] = as_numbers(np.datetime64("2010-01-15") + rng.integers(0, 4_000, rows))
    table["key"] = np.arange(rows) + 17.0
    table["shuffled"] = rng.permutation(rows).astype(float)
    return table


def as_numbers(days: np.ndarray) -> np.ndarray:
    """Dates as numbers yyyymmdd."""
    return np.array([int(str(day).replace("-", "")) for day in days], float)


def found_in(table: dict[str, np.ndarray], block: int = 64) -> list[Finding]:
    x = np.stack(list(table.values()), axis=1).astype(np.float32)
    facts = ColumnFacts(*x.shape)
    for start in range(0, len(x), block):
        facts.add(x[start : start + block])
    constant = (facts.low == facts.high) & (np.array(list(table)) != "stamp")  # float32 alone makes that one constant
    return findings(facts, constant, list(table).__getitem__)


def by_kind(found: list[Finding], names: list[str]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for finding in found:
        kinds.setdefault(finding.kind, []).extend(names[column] for column in finding.columns)
    return kinds


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as .csv, with 20 rows twice; the keys of copies are those of the originals."""
    table = faulty()
    rows = np.stack(list(table.values()), axis=1)
    rows = np.concatenate([rows, rows[:20]])
    path = tmp_path_factory.mktemp("faults") / "table.csv"
    np.savetxt(path, rows, delimiter=",", header=",".join(table), comments="", fmt="%.17g")
    return path


def test_every_kind_is_found_in_its_columns() -> None:
    table = faulty()
    kinds = by_kind(found_in(table), list(table))
    assert {kind: sorted(columns) for kind, columns in kinds.items()} == {
        kind: sorted(columns) for kind, columns in FAULTS.items()
    }


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_findings_do_not_depend_on_the_blocks(block: int) -> None:
    assert found_in(faulty(), block) == found_in(faulty())


def test_plain_columns_have_no_findings() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2000, 3)) * [1, 1e-3, 50] + [0, 5, -300]
    assert found_in({str(number): column for number, column in enumerate(noise.T)}) == []


def test_shares_of_one_column_are_no_copies() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 500))
    table = {"a": a, "b": b, "near": a + 1e-3 * b, "scaled": 10 - 3 * a, "again": b}
    (found,) = found_in(table)
    assert found.text.startswith("columns scaled of a, again of b are copies")
    assert found.columns == [3, 4]


def test_small_counts_are_told_from_codes() -> None:
    rng = np.random.default_rng(3)
    table = {"poisson": rng.poisson(1.0, 2000), "even": rng.integers(0, 4, 2000), "zeros": rng.poisson(6, 2000)}
    table["zeros"][rng.random(2000) < 0.4] = 0
    kinds = by_kind(found_in({name: column.astype(float) for name, column in table.items()}), list(table))
    assert kinds == {"count": ["poisson", "zeros"], "code": ["even"], "zero_inflated": ["zeros"]}


def test_every_day_is_a_date() -> None:
    """Odd numbers of this size become other ones in float32: the 31st, the 29th of February, the first of a month."""
    days = np.arange("1900-01-01", "2100-01-01", dtype="datetime64[D]")
    firsts = np.arange("1990-01", "2020-01", dtype="datetime64[M]").astype("datetime64[D]")
    table = {"day": as_numbers(days)[:: len(days) // 360][:360], "first": as_numbers(firsts), "last": as_numbers(firsts - 1)}
    assert by_kind(found_in(table), list(table)) == {"date": ["day", "first", "last"]}
    (found,) = found_in({"day": as_numbers(days)})
    assert found.text.startswith("column day looks like dates written as numbers (yyyymmdd): trained as numbers")


@pytest.mark.parametrize("seed", range(20))
def test_other_integers_are_no_dates(seed: int) -> None:
    """In the range of dates: of any kind, multiples of 100, close to one date, in one month, numbered within a year."""
    rng = np.random.default_rng(seed)
    table = {
        "any": rng.integers(19_000_101, 20_991_231, 60),
        "hundreds": 100 * rng.integers(190_001, 209_912, 60),
        "near": 20_240_131 + rng.integers(-60, 60, 60),
        "month": 20_240_101 + rng.integers(0, 31, 60),
        "serial": 20_240_001 + rng.permutation(9_999)[:60],
        "floats": np.where(np.arange(60) == 7, 20_240_101 - 4_000_000.5, 20_240_101),
        "zero": np.where(np.arange(60) % 9 == 0, 0, 20_240_101 + 100 * rng.integers(0, 12, 60)),
    }
    kinds = by_kind(found_in({name: column.astype(float) for name, column in table.items()}), list(table))
    assert "date" not in kinds


def test_few_rows_say_nothing_of_distributions() -> None:
    assert found_in({"a": np.array([0.0, 1.0, 1.0]), "flat": np.ones(3)})[0].kind == "constant"
    assert len(found_in({"a": np.array([0.0, 1.0, 1.0])})) == 0


@pytest.fixture(scope="module")
def found(file: Path) -> dict[str, Any]:
    """The diagnosis of the table."""
    done = command("diagnose", file, "--json")
    assert done.status == 0, done.err
    diagnosis: dict[str, Any] = json.loads(done.out)
    return diagnosis


def test_diagnose_says_every_fault(file: Path, found: dict[str, Any]) -> None:
    names, kinds = found["columns"], {}
    for finding in found["findings"]:
        kinds.setdefault(finding["kind"], []).extend(names[column] for column in finding["columns"])
    assert set(kinds) == set(FAULTS) - {"identifier"}, "with rows twice nothing counts up"
    assert found["copied_rows"] == 20
    assert [names[column] for column in found["rounded"]] == ["stamp"]
    text = command("diagnose", file).out
    for finding in found["findings"]:
        assert f"\nnote: {finding['text']}\n" in text
    assert "float32 cannot hold the variation of 1 column (stamp)" in text
    assert "the value -999 in " in text


def test_train_says_every_fault(file: Path, found: dict[str, Any], tmp_path: Path) -> None:
    arguments = ["--latent-dim", "2", "--hidden-dim", "8", "--epochs", "1", "--no-refit", "--device", "cpu"]
    done = command("train", file, "-o", tmp_path / "run", *arguments)
    assert done.status == 0, done.err
    assert metrics_of(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    for finding in found["findings"]:
        assert f"note: {finding['text']}" in done.err
    assert f"{len(found['findings'])} findings" in page
    assert "the value -999 in " in page
