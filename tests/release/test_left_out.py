"""`make test`: tests that passed with the wheel are left out of those of the clone; all others run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest
def test_passes(): pass
def test_fails(): assert False
@pytest.mark.parametrize("number", [1, 2])
def test_of_some(number):
    if number == 2: pytest.skip("not here")
"""


def run(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_only_tests_that_passed_are_left_out(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_some.py").write_text(TESTS)
    assert "1 failed, 2 passed, 1 skipped" in run(tmp_path, "--write-passed", "passed")
    assert (tmp_path / "passed").read_text() == "test_some.py::test_of_some[1]\ntest_some.py::test_passes\n"
    again = run(tmp_path, "--passed", "passed")
    assert "left out: 2 tests" in again and "1 failed, 1 skipped, 2 deselected" in again
