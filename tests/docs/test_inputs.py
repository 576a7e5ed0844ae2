"""The table of docs/inputs.md is what happens when every input form is tried."""

import pytest

for package in ("torch", "pandas", "polars", "pyarrow", "scipy"):
    pytest.importorskip(package)

from inputs import PAGE, page, written  # noqa: E402 - after the packages it needs


@pytest.fixture(scope="module")
def table() -> str:
    return written()


def test_the_committed_table_is_current(table: str) -> None:
    """`python tests/docs/inputs.py` writes it again."""
    assert PAGE.read_text() == page(table)


def test_no_form_gives_other_numbers(table: str) -> None:
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) >= 40
    assert not [row for row in rows if "OTHER NUMBERS" in row]


def test_each_refusal_is_one_sentence_of_words(table: str) -> None:
    assert "Traceback" not in table and "object at 0x" not in table and "Error(" not in table
