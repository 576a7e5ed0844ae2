"""csv: which first line is a header, which mark is decimal, which line is a comment; what is ambiguous is refused."""

from pathlib import Path

import numpy as np
import pytest

from aaptvae.errors import InputError
from aaptvae.files import open_rows
from aaptvae.files.fields import MISSING, sniffed

ROWS = "0.5,-1.5,2.25\n" + "".join(f"{value},{-value},{value / 4 + 2}\n" for value in (0.1, 1.7, -0.4, 0.9, 1.1, 0.3))


def read(path: Path, text: str, **options: object) -> tuple[tuple[str, ...] | None, np.ndarray]:
    path.write_text(text)
    with open_rows(path, **options) as reader:
        return reader.columns, np.concatenate(list(reader.batches(3)))


@pytest.mark.parametrize(
    "header",
    [
        "10,100,1000",  # decades
        "400.5,512,633.1",  # wavelengths in no equal steps
        "2019,2020,2021",
        "101,17,333",
        "3,2,1",
        "ERR,12.5,13",  # a row whose first cell failed
        "label,12,5",
    ],
)
def test_a_first_line_of_other_numbers_is_asked_about(tmp_path: Path, header: str) -> None:
    with pytest.raises(
        InputError, match=r"line 1 may be a header of numbers or a row: .*say which with --header or --no-header"
    ):
        read(tmp_path / "x.csv", f"{header}\n{ROWS}")
    columns, rows = read(tmp_path / "x.csv", f"{header}\n{ROWS}", header=True)
    assert columns == tuple(header.split(",")) and len(rows) == 7


def test_two_counted_names_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="may be a header"):
        read(tmp_path / "x.csv", "0,1\n1.5,2.5\n3.5,1.25\n")


@pytest.mark.parametrize("first", ["0.2,-0.2,2.05", "NA,,NA", "?,-,.", ",,", "nan,1,2", "-,0.5,2.25"])
def test_a_first_row_is_no_header(tmp_path: Path, first: str) -> None:
    """Values, missing values and marks that stand for them are no names."""
    with open_rows(write(tmp_path / "x.csv", f"{first}\n{ROWS}"), missing=True, width=3, skip_bad=True) as reader:
        assert reader.columns is None and sum(map(len, reader.labelled(3))) == 8


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_expected_names_are_a_header(tmp_path: Path) -> None:
    """Numbers too: the model knows them."""
    columns, rows = read(tmp_path / "x.csv", f"633.1,400.5,512\n{ROWS}", expected=("400.5", "512", "633.1"))
    assert columns == ("400.5", "512", "633.1") and rows[0].tolist() == [-1.5, 2.25, 0.5]


@pytest.mark.parametrize("comment", ["# b,a,c\n", "#b, a ,c\n", "# run 7\n# b,a,c\n"])
def test_names_in_a_comment_are_names(tmp_path: Path, comment: str) -> None:
    """numpy.savetxt writes its header as a comment."""
    path = write(tmp_path / "x.csv", comment + ROWS)
    with open_rows(path, expected=("a", "b", "c")) as reader:
        assert next(reader.batches(1)).tolist() == [[-1.5, 0.5, 2.25]]
        assert reader.notes == (f"{path} is read with the names of its columns in the comment above them",)
    assert read(path, comment + ROWS, header=False)[0] is None


@pytest.mark.parametrize("comment", ["# units: mV\n", "# 1,2,3\n", "# a,a,b\n", "# b,c\n"])
def test_other_comments_are_no_names(tmp_path: Path, comment: str) -> None:
    assert read(tmp_path / "x.csv", comment + ROWS)[0] is None
    assert read(tmp_path / "x.csv", f"a,b,c\n{comment if comment.count(',') != 2 else ''}{ROWS}")[0] == ("a", "b", "c")


@pytest.mark.parametrize("cell", sorted(MISSING))
def test_missing_cells_are_missing_numbers(tmp_path: Path, cell: str) -> None:
    """Also at the beginning of a line, where #N/A looks like a comment."""
    rows = read(tmp_path / "x.csv", f"a,b,c\n{ROWS}{cell},1,2\n{ROWS}")[1]
    assert len(rows) == 15 and np.isnan(rows[7]).tolist() == [True, False, False]
    with pytest.raises(InputError, match="line 9 has nan in column a"):
        read(tmp_path / "x.csv", f"a,b,c\n{ROWS}{cell},1,2\n", width=3)


@pytest.mark.parametrize("cell", ["1_000", "#DIV/0!", "10%", "0x10", "1D0", "True", "-", "1,234", "2026-01-01"])
@pytest.mark.parametrize("before", [0, 1, 30])
def test_no_cell_is_taken_for_another_number(tmp_path: Path, cell: str, before: int) -> None:
    row = f'"{cell}",1.5,2.5\n'
    with pytest.raises(InputError, match=r"x.csv (line .* has .* in column a|holds columns that are no numbers: a)"):
        read(tmp_path / "x.csv", "a,b,c\n" + "1.5,1.5,2.5\n" * before + row)


DECIMAL = "a;b\n1,5;2,25\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a;b\n1,234;5,678\n", "line 2 may have decimal commas or commas between thousands"),
        ("a\tb\n12,345\t5\n", "may have decimal commas or commas between thousands"),
        ("a;b\n1.5;2.25\n1,234;2.5\n", "line 3 has '1,234' in column a: expected a number"),
        (DECIMAL + "1.234;2,5\n", r"no numbers: a \(text: 1 of the first 2 are numbers\), b \(text\)"),
        (DECIMAL + "1,5;2,25\n" * 30 + "1.234;2,5\n", "line 33 has '1.234' in column a: expected a number with a decimal"),
        ("a;b\n1.234,5;2,5\n", r"no numbers: a \(text\)"),
    ],
)
def test_commas_and_points_are_not_mixed_up(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(tmp_path / "x.csv", text)


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        (DECIMAL, None),
        (DECIMAL.replace(";", "\t"), None),
        ("a;b\n1;2\n1,5;2,25\n", None),
        ('a,b\n"1,5","2,25"\n', ","),
        ("city;a;b\nRome, IT;1.5;2.25\n", None),
    ],
)
def test_decimal_commas_are_read(tmp_path: Path, text: str, decimal: str | None) -> None:
    drop = ("city",) if "city" in text else ()
    assert read(tmp_path / "x.csv", text, decimal=decimal, drop=drop)[1][-1].tolist() == [1.5, 2.25]


def test_a_first_row_with_decimal_commas_is_no_header(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "10,191;3,5\n1,5;2,5\n")[1].tolist() == [[10.191, 3.5], [1.5, 2.5]]


def test_thousands_of_thousandths_are_read_when_asked(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "a;b\n1,234;5,678\n", decimal=",")[1].tolist() == [[1.234, 5.678]]


def test_a_delimiter_is_in_every_line() -> None:
    assert sniffed(["a [K; m],b,c", "1,2,3"]) == ","
    assert sniffed(["a;b", "1,5;2,5"]) == ";"
    assert sniffed(['"a;b",c', "1,2"]) == ","


def test_a_later_record_has_no_new_key(tmp_path: Path) -> None:
    """A key that the first record lacks is unknown, as a column would be."""
    (tmp_path / "x.jsonl").write_text('{"a": 1, "b": 2}\n{"a": 1, "b": 2, "c": 3}\n')
    with open_rows(tmp_path / "x.jsonl") as reader, pytest.raises(InputError, match="line 2 has the key 'c'"):
        list(reader.batches(5))
    with open_rows(tmp_path / "x.jsonl", drop=["b"]) as reader, pytest.raises(InputError, match="line 2 has the key 'c'"):
        list(reader.batches(5))


def test_each_way_of_reading_shards_is_said_once(tmp_path: Path) -> None:
    for number, text in enumerate(["a,b\n1,2\n", "a;b\n1,5;2\n", "a;b\n3,5;2\n", "a;b\n1.5;2\n"]):
        (tmp_path / f"{number}.csv").write_text(text)
    with open_rows(tmp_path) as reader:
        assert reader.notes == (
            f"{tmp_path / '1.csv'} is read with semicolons between values and a decimal comma",
            f"{tmp_path / '3.csv'} is read with semicolons between values",
        )
        assert np.concatenate(list(reader.batches(9))).tolist() == [[1, 2], [1.5, 2], [3.5, 2], [1.5, 2]]


def written(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.mark.parametrize("first", ["a,b\n", "b,a\n1,2\n"])
@pytest.mark.parametrize("last", ["a,b\n", "b,a\n", "a,b"])
def test_a_shard_of_a_header_alone_is_empty(tmp_path: Path, first: str, last: str) -> None:
    folder = written(tmp_path / "x", x1=first, x2="a,b\n3,4\n5,6\n", x3=last)
    with open_rows(folder) as reader:
        rows = np.concatenate(list(reader.batches(10)))
        names = reader.columns
    expected = [[4, 3], [6, 5]] if first.startswith("b") else [[3, 4], [5, 6]]
    assert rows.tolist() == [[1, 2]] * first.count("1") + expected and names == tuple(first[:3].split(","))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"x1": "a,b\n1,2\n", "x2": "a,c\n"}, "x2.csv lacks the column b"),
        ({"x1": "a,b\n", "x2": "a,c\n1,2\n"}, "x2.csv lacks the column b"),
        ({"x1": "a,b\n1,2\n", "x2": "a,b,c\n"}, "x2.csv has the column c"),
        ({"x1": "a,b\n", "x2": "a,b\n"}, "x holds no rows but headers"),
        ({"x1": "a,b\n1,2\n", "x2": ""}, "x2.csv holds no rows: expected one row"),
        ({"x1": "a,b\n"}, "x holds no rows but headers"),
    ],
)
def test_other_headers_and_headers_alone_are_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_rows(written(tmp_path / "x", **files))


def test_one_file_of_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no rows but a header"):
        open_rows(written(tmp_path / "x", x="a,b\n") / "x.csv")
