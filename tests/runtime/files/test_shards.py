"""What is read below a folder: no names that begin with . or _, no links to folders, and notes where that matters."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae.files import open_rows
from aaptvae.files.opening import would_read

X = np.arange(12, dtype=np.float32).reshape(4, 3)
TEXT = "a,b,c\n" + "\n".join(",".join(map(str, row)) for row in X.tolist()) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards."""
    made = tmp_path / "rows"
    made.mkdir()
    for number, part in enumerate(np.split(X, 2)):
        np.save(made / f"{number}.npy", part)
    return made


@pytest.mark.parametrize("name", ["_temporary/0/x.npy", "_delta_log/x.npy", "sub/_x.npy", "__MACOSX/0.npy"])
def test_names_with_an_underscore_are_left_out(folder: Path, name: str) -> None:
    """As Spark, Delta Lake and Arrow do; a note says so."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / name, X)
    with open_rows(folder) as rows:
        assert np.array_equal(next(rows.batches(9)), X)
        left = next(part for part in Path(name).parts if part[0] == "_")
        assert rows.notes == (f"{folder} has files below names that begin with _, which are left out: {left}",)
    assert not would_read(str(folder), str(folder / name)) and would_read(str(folder), str(folder / "2.npy"))


def test_links_to_folders_are_not_followed_in_silence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other/x.npy", X)
    (folder / "sub").symlink_to(tmp_path / "other")
    with open_rows(folder) as rows:
        assert rows.rows == 4 and rows.notes == (f"{folder} has links to folders, which are not followed: sub",)
    for file in folder.glob("*.npy"):
        file.unlink()
    with pytest.raises(
        InputError, match=r"holds no feature files: .* without names that begin with . or _ and links to folders"
    ):
        open_rows(folder)


def test_one_name_in_several_formats_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", X)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "x-2.npy", X)
    with open_rows(tmp_path) as rows:
        assert rows.notes == (f"{tmp_path} holds files of one name in several formats, which are all read: x.npy, x.npz",)


@pytest.mark.parametrize("line", ["mV,mV,s", "a,b,c"])
def test_a_second_line_of_names_is_refused_as_such(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.csv").write_text(TEXT.replace("\n", f"\n{line}\n", 1))
    with pytest.raises(
        InputError, match=r"x.csv line 2 has '\w+' in column a: .* second line of names or units is to be taken"
    ):
        open_rows(tmp_path / "x.csv")
    with open_rows(tmp_path / "x.csv", skip_bad=True) as rows:
        assert np.array_equal(next(rows.batches(9)), X)


def test_another_delimiter_than_the_named_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text(TEXT)
    with pytest.raises(InputError, match=r"x.tsv has commas between values, not tabs: give --delimiter ','"):
        open_rows(tmp_path / "x.tsv")
    (tmp_path / "one.tsv").write_text("a name, with a comma\n1.5\n2.5\n")
    with open_rows(tmp_path / "x.tsv", delimiter=",") as given, open_rows(tmp_path / "one.tsv") as one:
        assert (given.width, one.width) == (3, 1)


def test_a_key_of_a_record_is_there_once(tmp_path: Path) -> None:
    """Readers of JSON take the last of equal keys in silence."""
    (tmp_path / "x.jsonl").write_text('{"a": 1, "b": {"k": 1, "k": 2}, "a": 2}\n')
    with pytest.raises(InputError, match=r"x.jsonl line 1 has the key 'a' more than once: expected each once"):
        open_rows(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text('{"a": 1' + "0" * 5000 + ', "b": 2}\n')
    with pytest.raises(InputError, match=r"x.jsonl line 1 is not a row of numbers"), open_rows(tmp_path / "x.jsonl") as rows:
        next(rows.batches(1))


def test_feather_version_1_is_called_so(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "x.feather").write_bytes(b"FEA1" + bytes(40) + b"FEA1")
    with pytest.raises(InputError, match=r"x.feather is Feather version 1: expected version 2"):
        open_rows(tmp_path / "x.feather")


@pytest.mark.slow
def test_a_damaged_arrow_file_never_aborts_the_process(tmp_path: Path, tiny: Path) -> None:
    """A thread of Arrow that frees Python objects while Python ends would."""
    pa = pytest.importorskip("pyarrow")
    with pa.ipc.new_file(str(tmp_path / "x.arrow"), pa.schema([("a", pa.float32())])) as writer:
        writer.write(pa.table({"a": pa.array([1.0] * 99, pa.float32())}))
    (tmp_path / "x.arrow").write_bytes((tmp_path / "x.arrow").read_bytes()[:-30])
    line = [sys.executable, "-m", "aaptvae", "encode", str(tiny), str(tmp_path / "x.arrow"), "-o", str(tmp_path / "z.npy")]
    for _ in range(5):
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "not a readable .arrow file" in done.stderr
