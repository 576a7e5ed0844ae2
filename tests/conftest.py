"""Tests marked slow run in continuous integration, where CI is set; elsewhere they are skipped and listed."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "CI" not in os.environ:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: set CI=1 to run it"))
