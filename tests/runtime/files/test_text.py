"""Text rows: what is read, what is refused with its line number, and in how much memory."""

import gzip
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae.files import Reading, open_rows


def read(path: Path, data: str | bytes, **options: Any) -> list[list[float]]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with open_rows(path, **options) as reader:
        rows: list[list[float]] = np.concatenate([np.empty((0, reader.width)), *reader.batches(2)]).tolist()
        return rows


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "1,2\n3,4",
        "\ufeff1,2\r\n3,4\r\n",
        "a,b\n1,2\n3,4\n",
        "\n1,2\n\n3,4\n\n",
        ' 1 , 2 \n"3","4"\n',
        "1e0,2.0\n3,+4\n",
    ],
)
def test_csv_in_the_shapes_people_write(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "x.csv", text) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("text", ["[1,2]\n[3,4]\n", "[1.0, 2]\n\n[3,4]", '{"id":"a","x":[1,2]}\n{"x":[3,4],"id":7}\n'])
def test_jsonl_as_arrays_or_objects_with_one_array(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "x.jsonl", text) == [[1, 2], [3, 4]]


BAD_CSV = ["3,4,5", "3", "3,x", "3;4", "3,", "nan,4", "4,inf", "1e39,4", "3,4\x00", "\xff"]
BAD_JSON = [
    "[3]",
    "[3,4,5]",
    "[3,null]",
    '[3,"4"]',
    "[3,true]",
    "[NaN,4]",
    "[[3,4]]",
    "3",
    "{}",
    '{"a":[3,4],"b":[3,4]}',
    "[" * 9999,
    "[3,4",
    "[1e999,4]",
    '{"a":' * 9999,
]


@pytest.mark.parametrize(
    ("format", "good", "bad"), [("csv", "1,2", line) for line in BAD_CSV] + [("jsonl", "[1,2]", line) for line in BAD_JSON]
)
def test_a_bad_line_is_refused_or_skipped(tmp_path: Path, format: str, good: str, bad: str) -> None:
    text = f"{good}\n\n{bad}\n{good}\n"
    with pytest.raises(InputError, match=rf"x.{format} line 3 (has|holds NaN|is not a row of numbers)"):
        read(tmp_path / f"x.{format}", text, width=2)
    assert read(tmp_path / f"x.{format}", text, width=2, skip_bad=True) == [[1, 2], [1, 2]]
    with open_rows(tmp_path / f"x.{format}", width=2, skip_bad=True) as reader:
        assert [problem is None for batch in reader.labelled(9) for problem in batch.problems] == [True, False, True]
        assert [len(batch) for batch in reader.labelled(2, 1)] == [2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("3.5,4,class_0", r"holds columns that are no numbers: c \(text\): leave them out with --drop"),
        ("3,4,5\n3,x,4", "line 3 has 'x' in column b: expected a number"),
        ("3;4;5", "line 2 has 1 values: its header has 3"),
    ],
)
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(tmp_path / "x.csv", f"a,b,c\n{line}\n")


SELECTIONS: list[dict[str, Any]] = [{"ids": ("id",)}, {"drop": ("id",)}, {"columns": ("a", "b")}, {"ids": ("c", "id")}]
OTHER_WIDTHS = [
    ("y,1,5,2,3", "has 5 values: expected 4"),
    ('"y",1,"5",2,3', "has 5 values: expected 4"),
    ("y,1,2", "has 3 values: expected 4"),
    ('"y,1",2,3', "has 3 values: expected 4"),
    ("7", "has 1 values: expected 4"),
    ("y", "is not a row of numbers: 'y': expected commas between them"),
    ('y,1,2,"3', "cannot be split into fields (it ends inside quotes: a line break within a field is not read"),
    ('"y,1,2,3', "cannot be split into fields (it ends inside quotes"),
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize(("bad", "words"), OTHER_WIDTHS)
def test_rows_of_another_width_are_refused(tmp_path: Path, selection: Any, bad: str, words: str) -> None:
    """Columns that are left out change nothing, nor does the place: the first rows, later blocks, packed files and shards."""
    for rows in (2, 2000):
        text = "\n".join(["id,a,b,c", *["y,1,2,3"] * rows, bad, "y,1", "y,1,2,3"])
        with pytest.raises(InputError, match=re.escape(f"x.csv line {rows + 2} {words}")):
            read(tmp_path / "x.csv", text, reading=Reading(**selection))
    with pytest.raises(InputError, match=re.escape(f"x.csv.gz line 2002 {words}")):
        read(tmp_path / "x.csv.gz", gzip.compress(text.encode()), reading=Reading(**selection))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/1.csv").write_text("id,a,b,c\ny,1,2,3\n")
    (tmp_path / "parts/2.csv").write_text(text)
    with (
        open_rows(tmp_path / "parts", reading=Reading(**selection)) as reader,
        pytest.raises(InputError, match=re.escape(f"2.csv line 2002 {words}")),
    ):
        list(reader.batches(64))


def test_several_spaces_hide_no_missing_field(tmp_path: Path) -> None:
    """Between values that are spaces apart, several spaces are one delimiter."""
    reading = Reading(drop=("id",), delimiter=" ")
    assert read(tmp_path / "x.csv", "id a b\ny 1   2\ny  3 4\n", reading=reading) == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match="line 3 has 2 values: expected 3"):
        read(tmp_path / "x.csv", "id a b\n7 1 2\n7  3\n", reading=reading)


@pytest.mark.parametrize("bad", ["[9,1,5,2]", "[9,1]"])
def test_arrays_of_another_length_are_refused(tmp_path: Path, bad: str) -> None:
    for drop in ("0", "2"):
        with pytest.raises(InputError, match=rf"line 2 has {bad.count(',') + 1} values: expected 3"):
            read(tmp_path / "x.jsonl", f"[9,1,2]\n{bad}\n[9,1,2]\n", drop=(drop,))


@pytest.mark.parametrize("text", ['"a\nb",c\n1,2\n', 'a,"b\n1,2\n', '"",a\n"0,1\n1,2\n', 'a,b\n1,"2\n'])
def test_a_row_that_ends_inside_quotes_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"cannot be split into fields \(it ends inside quotes"):
        read(tmp_path / "x.csv", text)


def test_long_files_are_parsed_in_order(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((5000, 30)).round(3)
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", fmt="%.3f")
    with open_rows(tmp_path / "x.csv") as reader:
        assert np.array_equal(np.concatenate(list(reader.batches(999, 77))), x[77:])


@pytest.mark.parametrize(
    ("format", "start", "piece"),
    [("csv", "", "1,"), ("csv", "1,2\n", "1"), ("jsonl", "[", "1,"), ("csv", "a,b\n", '"'), ("csv", "", "x")],
)
def test_a_huge_line_is_refused_in_bounded_memory(tmp_path: Path, format: str, start: str, piece: str) -> None:
    code = f"""
import resource, sys
import numpy
from aaptvae.errors import InputError
from aaptvae.files import open_rows
limit = 600 << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    with open_rows("-", format={format!r}) as reader:
        list(reader.batches(64))
except InputError as error:
    print(error)
"""
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=tmp_path
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(start.encode())
        try:
            for _ in range(1 << 10):
                process.stdin.write((piece * ((1 << 20) // len(piece))).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert b"over 16 MiB: expected a row of numbers" in process.stdout.read()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "x.csv is UTF-16: expected UTF-8"),
        ("âge,b\n1,2\n".encode("latin-1"), "x.csv line 1 holds the byte 0xe2, which is not UTF-8"),
        (b"a b c\n1 2 3\n", "x.csv has spaces between values: .*--delimiter ' '"),
        (b"101,205,333\n0.5,0.25,1.5\n", "may be a header of numbers or a row"),
        (b"1,2.5,4,5,7,9,10,11\n3,1,2,5,4,6,7,1\n", "may be a header of numbers or a row"),
        (b"1990,1991,1992\n3.5,1.5,2.5\n", "may be a header of numbers or a row"),
    ],
)
def test_text_that_is_read_wrongly_elsewhere_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(InputError, match=words):
        open_rows(tmp_path / "x.csv")


def test_vertical_bars_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a|b\n1|2\n")
    with open_rows(tmp_path / "x.csv") as reader:
        assert reader.columns == ("a", "b") and "vertical bars" in reader.notes[0]


@pytest.mark.parametrize("first", ["1,0,2", "0.5,1,2", "3,2,1", "5,5,7"])
def test_first_rows_of_numbers_are_rows(first: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"{first}\n1,4,2.5\n")
    with open_rows(tmp_path / "x.csv") as reader:
        assert sum(len(batch) for batch in reader.batches(9)) == 2


def test_a_line_that_is_not_utf8_can_be_skipped(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("a,b\n1,2\n\xe2,3\n4,5\n".encode("latin-1"))
    with open_rows(tmp_path / "x.csv", skip_bad=True, width=2) as reader:
        assert np.concatenate(list(reader.batches(9))).tolist() == [[1, 2], [4, 5]]
    assert len(reader.bad) == 1


@pytest.mark.parametrize(
    ("head", "words"), [(b"\x1f\x8b\x08\x00", "compressed by gzip"), (b"PK\x03\x04", "a zip, such as .xlsx")]
)
def test_files_of_other_kinds_are_told_from_text(tmp_path: Path, head: bytes, words: str) -> None:
    (tmp_path / "x.csv").write_bytes(head + bytes(40))
    with pytest.raises(InputError, match=f"x.csv is {words}.*, no text: .* the suffix of its content"):
        open_rows(tmp_path / "x.csv")


@pytest.mark.parametrize("mark", [";", ",", "\t"])
def test_the_delimiter_line_of_excel_is_no_row(tmp_path: Path, mark: str) -> None:
    rows = [["a", "b"], ["1", "2"], ["3", "4"]]
    (tmp_path / "x.csv").write_text("\n".join([f"sep={mark}", *(mark.join(row) for row in rows)]) + "\n")
    with open_rows(tmp_path / "x.csv") as reader:
        assert reader.columns == ("a", "b")
        assert [np.concatenate(list(reader.batches(9))).tolist() for _ in range(2)] == [[[1, 2], [3, 4]]] * 2


@pytest.mark.parametrize("text", ['[\n  {"a": 1}\n]\n', '[{"a": 1}, {"a": 2}]\n', "[[1, 2], [3, 4]]\n", "[\n"])
def test_an_array_of_records_is_called_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"x\.jsonl line 1 begins an array of JSON: .*one record or row a line"):
        read(tmp_path / "x.jsonl", text)
