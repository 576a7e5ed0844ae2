"""Which tests run, and on how many threads.

Tests marked slow run in continuous integration, where CI is set; elsewhere they are skipped and listed. `make test` runs the
tests of the runtime with the built wheel, and leaves those that passed there out of the tests of the clone.
"""

import os
from pathlib import Path
from typing import Any

import pytest

# Small matrices gain nothing from a second thread, and processes that share two cores lose: torch waits by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-passed", metavar="FILE", help="write the names of the tests that pass")
    parser.addoption("--passed", metavar="FILE", help="leave the tests out whose names are in this file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "CI" not in os.environ:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: set CI=1 to run it"))
    if passed := _passed(config):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
        items[:] = [item for item in items if item.nodeid not in passed]
    items.sort(key=lambda item: item.path.parent.name != "web")  # the file that takes longest begins first


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if file := config.getoption("--write-passed"):
        names = {report.nodeid for report in terminalreporter.getreports("passed")}
        Path(file).write_text("".join(f"{name}\n" for name in sorted(names)))
    if passed := _passed(config):
        terminalreporter.write_line(f"left out: {len(passed):,} tests that passed with the built wheel")


def _passed(config: pytest.Config) -> set[str]:
    file = config.getoption("--passed")
    return set(Path(file).read_text().splitlines()) if file else set()
