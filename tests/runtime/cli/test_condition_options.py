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
