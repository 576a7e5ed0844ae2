"""`interpolate --times`: each sequence of a file at other times."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from test_cli import Cli, cli  # noqa: F401 - a fixture

import aaptvae
from aaptvae.interpolation import resample

SECONDS = [4.0, 0.0, 1.0, 0.0, 2.0, 3.0]  # of two sequences, mixed and out of order
CLIPS = ["a", "a", "a", "b", "b", "b"]


def write(x: np.ndarray, times: list[object]) -> str:
    """Six rows as f.csv, with a clip and a time each."""
    with Path("f.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "time", *"abcde"])
        writer.writerows([clip, time, *row] for clip, time, row in zip(CLIPS, times, x[:6].tolist(), strict=True))
    return "f.csv"


def interpolated(cli: Cli, *options: object) -> list[list[str]]:  # noqa: F811
    done = cli("interpolate", *options, "-o", "-", "--format", "csv")
    assert done.status == 0, done.err
    return list(csv.reader(io.StringIO(done.out.decode())))


def test_sequences_are_sorted_and_resampled_alone(cli: Cli, named: Path, x: np.ndarray) -> None:  # noqa: F811
    vae, file = aaptvae.load(named), write(x, list(SECONDS))
    names, *rows = interpolated(cli, named, file, "--group", "clip", "--order", "time", "--times", 5)
    assert names == ["clip", "time", *"abcde"] and [row[0] for row in rows] == ["a"] * 5 + ["b"] * 5
    assert [float(row[1]) for row in rows] == [0, 1, 2, 3, 4, 0, 0.75, 1.5, 2.25, 3]
    z = vae.embed(x[:6])[[1, 2, 0, 3, 4, 5]]
    at = np.array([0, 1, 2, 3, 4.0]), np.array([0, 0.75, 1.5, 2.25, 3])
    expected = [resample(z[:3], np.array([0.0, 1, 4]), at[0]), resample(z[3:], np.array([0.0, 2, 3]), at[1])]
    found = np.array([row[2:] for row in rows], np.float32)
    assert np.allclose(found, vae.decode(np.concatenate(expected)), rtol=1e-6)
    same = interpolated(cli, named, file, "--group", "clip", "--order", "time", "--times", "0:3:0.5")
    assert [float(row[1]) for row in same[1:8]] == [0, 0.5, 1, 1.5, 2, 2.5, 3] and len(same) == 15


def test_dates_give_an_order_too(cli: Cli, named: Path, x: np.ndarray) -> None:  # noqa: F811
    """If one date has a time zone, all are in UTC, as the results are; else none has one."""
    days = ["2026-01-05", "2026-01-01", "2026-01-02", "2026-01-01T00:00:00Z", "2026-01-03", "2026-01-04"]
    options = ("--group", "clip", "--order", "time", "--times", 3)
    for zone in ("Z", ""):
        file = write(x, [day.removesuffix("Z") + "T00:00:00" * ("T" not in day and bool(zone)) + zone for day in days])
        done = cli("interpolate", named, file, *options, "-o", "-", "--format", "jsonl")
        assert done.status == 0, done.err
        times = [json.loads(line)["time"] for line in done.out.splitlines()]
        assert times[:3] == [f"2026-01-0{day}T00:00:00{zone}" for day in (1, 3, 5)]


def test_rows_without_columns_are_one_sequence(cli: Cli, tiny: Path, x: np.ndarray) -> None:  # noqa: F811
    np.save("x.npy", x[:4])
    assert cli("interpolate", tiny, "x.npy", "--times", 7, "-o", "y.npy").status == 0
    found, vae = np.load("y.npy"), aaptvae.load(tiny)
    assert np.array_equal(found[::2], vae.reconstruct(x[:4])) and len(found) == 7


@pytest.mark.parametrize(
    ("times", "options", "words"),
    [
        ([0, 0, 1, 0, 1, 2], "--group clip --order time --times 3", "rows 0 and 1 of sequence a have the same time"),
        ([0, 1, 2, 0, 1, 2], "--group clip --order time --times 0:9:1", "sequence a from 0 to 2: there is no extrapolation"),
        ([0, 1, "late", 0, 1, 2], "--group clip --order time --times 3", "time of row 2 is 'late': expected a finite number"),
        ([0, 1, 2, 0, 1, 2], "--order clip --drop time --times 3", "clip of row 0 is 'a': expected a finite number or a date"),
        ([0, 1, 2, 3, 4, 5], "--group time --drop clip --times 3", "row 0 is the only one of sequence 0"),
        ([0, 1, 2, 0, 1, 2], "--group clip --order time --times 1", "--times is '1': expected a number of times from 2 up"),
        ([0, 1, 2, 0, 1, 2], "--group clip --order time", "--group and --order belong to --times"),
        ([0, 1, 2, 0, 1, 2], "--group clip --order time --times 3 --steps 2", "leave one out"),
    ],
)
def test_sequences_without_sense_are_refused(
    cli: Cli,  # noqa: F811
    named: Path,
    x: np.ndarray,
    times: list[object],
    options: str,
    words: str,
) -> None:
    done = cli("interpolate", named, write(x, times), *options.split(), "-o", "y.csv")
    assert done.status and words in done.err and not Path("y.csv").exists()
