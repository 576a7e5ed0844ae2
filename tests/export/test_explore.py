"""`aaptvae explore RUN`: a bundle that is written nowhere, with the run's held-out rows on its map."""

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aaptvae.bundle import read_bundle
from aaptvae.bundle.manifest import Condition
from aaptvae.cli.verbs_explore import explore
from aaptvae.errors import BundleError, InputError
from aaptvae.explorer import Site, heldout_rows
from aaptvae_export.bundle import export_bundle, packed_run
from aaptvae_export.cli import _map_rows, export
from aaptvae_training import RunError, read_run
from aaptvae_training.features import Features
from aaptvae_training.features.row_ids import RowIds
from aaptvae_training.run import read_config, read_held_out, write_held_out

from .conftest import make_run

OLD = Path(__file__).parents[1] / "fixtures/schema1"


def test_a_run_becomes_a_bundle_in_memory() -> None:
    before = sorted(OLD.rglob("*"))
    data, heldout, ids = packed_run(OLD / "run")
    bundle = read_bundle(data)
    assert bundle.manifest.input_dim == 24 and bundle.manifest.training.data_sha256 == read_run(OLD / "run").config.data_sha256
    assert np.array_equal(heldout, read_run(OLD / "run").heldout)
    assert sorted(OLD.rglob("*")) == before and ids == {}


def test_ids_of_held_out_rows_are_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD / "run", tmp_path / "run"))
    test, sample, *_ = read_held_out(folder, read_config(folder))
    table = Features(24)
    table.ids = RowIds(("patient", "visit"))
    table.ids.add([[f"p{row}" for row in range(len(test))], [row % 2 for row in range(len(test))]])
    write_held_out(folder, test, sample, np.arange(len(test)), table)
    table.close()
    config = json.loads((folder / "config.json").read_bytes()) | {"ids": ["patient", "visit"]}
    (folder / "config.json").write_text(json.dumps(config))
    data, heldout, ids = packed_run(folder)
    shown = json.loads(Site(bundle=read_bundle(data), table=heldout_rows(heldout, 24, ids)).files()["explorer.json"])["ids"]
    assert [column["name"] for column in shown] == ["patient", "visit"] and shown[0]["values"][:2] == ["p0", "p1"]
    assert len(shown[1]["values"]) == len(heldout)


@pytest.mark.parametrize(
    ("place", "options", "error", "words"),
    [
        ("interrupted", (), RunError, "is not finished: continue it"),
        ("run", ("--sha256", "0" * 64), BundleError, "this is another bundle than the pinned one"),
    ],
)
def test_runs_are_refused_in_words(place: str, options: tuple[str, ...], error: type[Exception], words: str) -> None:
    result = CliRunner().invoke(explore, [str(OLD / place), "--no-open", *options])
    assert isinstance(result.exception, error) and words in str(result.exception)


def test_held_out_rows_keep_their_conditions(tmp_path: Path) -> None:
    run = make_run(5, 2, (3,), conditions=(Condition(name="kind", categories=("a", "b")), Condition(name="age")))
    table = _map_rows(run, "heldout", None, reading={})
    assert table is not None and np.array_equal(np.concatenate([table.rows, table.c], axis=1), run.heldout)
    site = Site(bundle=read_bundle(export_bundle(run, tmp_path / "a")), table=table)
    assert json.loads(site.files()["explorer.json"])["conditions"] == "conditions.npy"


def test_rows_of_a_file_take_a_condition(tmp_path: Path) -> None:
    conditions = Condition(name="kind", categories=("a", "b")), Condition(name="age", mean=40.0, scale=10.0)
    run = make_run(2, 1, (3,), conditions=conditions)
    (tmp_path / "rows.csv").write_text("x0,x1,age\n1,2,50\n3,4,30\n")
    table = _map_rows(run, str(tmp_path / "rows.csv"), None, reading={}, condition={"kind": "b"})
    assert table is not None and table.c is not None
    assert table.c.tolist() == [[0, 1, 1], [0, 1, -1]] and table.rows.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match=r"condition kind is 'z': expected one of a, b"):
        _map_rows(run, str(tmp_path / "rows.csv"), None, reading={}, condition={"kind": "z"})


def test_columns_of_a_file_of_rows_are_chosen(tmp_path: Path) -> None:
    header, rows = ["id", *(f"x{index}" for index in range(24)), "note"], ["r1", *map(str, range(24)), "n"]
    (tmp_path / "rows.csv").write_text(";".join(header) + "\n" + ";".join(rows) + "\n")
    page = ["--web", str(tmp_path / "site"), "--web-rows", str(tmp_path / "rows.csv"), "--delimiter", ";", "--id", "id"]
    command = [str(OLD / "run"), "-o", str(tmp_path / "b"), *page]
    failed = CliRunner().invoke(export, command)
    assert isinstance(failed.exception, InputError) and "note" in str(failed.exception)
    done = CliRunner().invoke(export, [*command, "--drop", "note", "--label", "note"])
    assert done.exit_code == 0, done.exception
    shown = json.loads((tmp_path / "site/explorer.json").read_bytes())
    assert shown["ids"] == [{"name": "id", "values": ["r1"]}]


@pytest.mark.parametrize("rows", [(), ("--web-rows", "heldout")])
def test_a_condition_needs_a_file_of_rows(tmp_path: Path, rows: tuple[str, ...]) -> None:
    page = ["--web", str(tmp_path / "site"), *rows, "--condition", "kind=a"]
    result = CliRunner().invoke(export, [str(OLD / "run"), "-o", str(tmp_path / "b"), *page])
    assert result.exit_code == 2 and "--condition is about the rows of --web-rows FILE" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent")
def test_a_run_is_served_with_held_out_rows() -> None:
    command = [sys.executable, "-m", "aaptvae", "explore", str(OLD / "run"), "--no-open"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        lines = iter(child.stderr.readline, "")
        host = next(found[1] for line in lines if (found := re.search(r" is at http://(\S+)/ until", line)))
        connection = http.client.HTTPConnection(host)
        connection.request("GET", "/explorer.json", headers={"Host": host})
        described = json.loads(connection.getresponse().read())
        connection.close()
        child.send_signal(signal.SIGINT)
    assert described["rows"] == "rows.npy" and child.returncode == 130
