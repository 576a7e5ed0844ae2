"""Conditions on the command line: from columns of the input, or from --condition; wrong ones are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import Cli, cli  # noqa: F401 - a fixture

import aaptvae


def write(given_rows: dict[str, Any]) -> str:
    lines = [",".join(given_rows), *(",".join(map(str, row)) for row in zip(*given_rows.values(), strict=True))]
    Path("x.csv").write_text("\n".join(lines) + "\n")
    return "x.csv"


def test_verbs_take_conditions_from_columns(cli: Cli, given: Path, conditional: aaptvae.VAE, given_rows: Any) -> None:  # noqa: F811
    file, expected = write(given_rows), conditional.embed(given_rows)
    assert cli("encode", given, file, "-o", "z.npy").status == 0
    assert np.array_equal(np.load("z.npy"), expected)
    done = cli("encode", given, file, "-o", "-", "--format", "csv", "--id", "f0", "--columns", "f0,f1,f2,f3,f4")
    assert done.status == 1 and "f0 is named as a feature and to be left out" in done.err
    assert b"elbo" in cli("score", given, file).out


def test_an_option_gives_the_condition_of_all_rows(cli: Cli, given: Path, conditional: aaptvae.VAE, given_rows: Any) -> None:  # noqa: F811
    assert cli("encode", given, write(given_rows), "-o", "b.npy", "--condition", "kind=b", "--drop", "kind").status == 0
    mu = conditional.embed(given_rows, condition={"kind": "b"})
    assert np.array_equal(np.load("b.npy"), mu)
    fixed = {"kind": "a", "age": 41}
    options = ("--condition", "kind=a", "--condition", "age=41")
    assert cli("decode", given, "b.npy", "-o", "d.npy", *options).status == 0
    assert np.array_equal(np.load("d.npy"), conditional.decode(mu, condition=fixed))
    assert cli("sample", given, "-n", 70, "--seed", 1, "-o", "s.npy", *options).status == 0
    assert np.array_equal(np.load("s.npy"), conditional.sample(70, seed=1, condition=fixed))


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ((), 1, "the condition kind, age is missing"),
        (("--condition", "kind=z", "--condition", "age=1"), 1, "expected one of a, b, c"),
        (("--condition", "kind"), 2, "is not NAME=VALUE"),
        (("--condition", "kind=a", "--condition", "kind=b"), 2, "kind is given 2 times"),
    ],
)
def test_sampling_with_wrong_conditions_fails(cli: Cli, given: Path, options: Any, status: int, words: str) -> None:  # noqa: F811
    done = cli("sample", given, "-n", 3, "--seed", 0, "-o", "s.npy", *options)
    assert done.status == status and words in done.err and not Path("s.npy").exists()


def test_a_row_too_long_is_refused_beside_options(cli: Cli, given: Path, given_rows: Any) -> None:  # noqa: F811
    lines = Path(write({"id": ["y"] * len(given_rows["kind"]), **given_rows})).read_text().splitlines()
    lines[2] = lines[2].replace("y,", "y,1,", 1)
    Path("x.csv").write_text("\n".join(lines) + "\n")
    done = cli("encode", given, "x.csv", "-o", "z.csv", "--id", "id", "--drop", "kind", "--condition", "kind=a")
    assert done.status == 1 and f"line 3 has {len(given_rows) + 2} values: expected {len(given_rows) + 1}" in done.err


def test_a_condition_may_be_an_id_too(cli: Cli, given: Path, conditional: aaptvae.VAE, given_rows: Any) -> None:  # noqa: F811
    """Latents that keep their conditions are decoded without more words."""
    assert cli("encode", given, write(given_rows), "-o", "z.csv", "--id", "kind,age").status == 0
    assert Path("z.csv").read_text().startswith("kind,age,z0,z1\n")
    assert cli("decode", given, "z.csv", "-o", "x.npy").status == 0
    assert np.abs(np.load("x.npy") - conditional.reconstruct(given_rows)).max() < 1e-5


def test_an_option_goes_before_a_column(cli: Cli, given: Path, conditional: aaptvae.VAE, given_rows: Any) -> None:  # noqa: F811
    assert cli("encode", given, write(given_rows), "-o", "z.npy", "--condition", "kind=b").status == 0
    assert np.array_equal(np.load("z.npy"), conditional.embed(given_rows, condition={"kind": "b"}))


def test_paths_take_conditions_from_columns(cli: Cli, given: Path, conditional: aaptvae.VAE, given_rows: Any) -> None:  # noqa: F811
    file = write({name: column[:3] for name, column in given_rows.items()})
    assert cli("interpolate", given, file, "-o", "w.npy", "--steps", 4).status == 0
    rows = [{name: column[row : row + 1] for name, column in given_rows.items()} for row in range(3)]
    walks = [conditional.interpolate(rows[row], rows[row + 1], 4) for row in range(2)]
    assert np.abs(np.load("w.npy") - np.concatenate([walks[0], walks[1][1:]])).max() < 1e-5
    assert cli("interpolate", given, file, "-o", "r.npy", "--times", 5).status == 0
    first = {name: column[:3] for name, column in given_rows.items()}
    assert np.abs(np.load("r.npy") - conditional.resample(first, [0, 1, 2], [0, 0.5, 1, 1.5, 2])).max() < 1e-5


def test_a_condition_that_is_nowhere_is_named(cli: Cli, given: Path, given_rows: Any) -> None:  # noqa: F811
    file = write({name: column for name, column in given_rows.items() if name != "age"})
    for verb in ("encode", "interpolate"):
        done = cli(verb, given, file, "-o", "z.npy")
        assert done.status == 1 and "no column age, a condition" in done.err and "--condition age=VALUE" in done.err


def test_a_wrong_condition_names_file_and_row(cli: Cli, given: Path, given_rows: Any) -> None:  # noqa: F811
    lines = Path(write(given_rows)).read_text().splitlines()
    lines[3], lines[9] = lines[3] + ",1", ",".join([*lines[9].split(",")[:-2], "q", "1"])
    Path("x.csv").write_text("\n".join(lines) + "\n")
    done = cli("encode", given, "x.csv", "-o", "z.npy", "--on-bad-row", "skip")
    assert done.status == 1 and "skipped: x.csv: condition kind is 'q' in row 8" in done.err and "skipped 2 rows" in done.err
    assert len(np.load("z.npy")) == len(lines) - 3


def test_features_that_are_left_out_are_named(cli: Cli, named: Path, x: np.ndarray) -> None:  # noqa: F811
    """A column that is a feature cannot be an id, a group or dropped: the error does not say that the file lacks it."""
    Path("x.csv").write_text("\n".join(["a,b,c,d,e", *(",".join(map(str, row)) for row in x[:9])]) + "\n")
    for verb, *options in (("encode", "--id", "a"), ("encode", "--drop", "a"), ("interpolate", "--times", 3, "--order", "a")):
        done = cli(verb, named, "x.csv", "-o", "z.csv", *options)
        assert done.status == 1 and "the choice of columns leaves out the column a" in done.err
