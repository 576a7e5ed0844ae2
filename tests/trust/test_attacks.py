"""Hostile bundles are refused, each with its own words, in little memory, and hardly ever by onnxruntime."""

import re
from pathlib import Path
from typing import Any

import pytest

from .attacks import ATTACKS, verdicts

MEMORY = 300_000_000


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return verdicts(Path(tmp_path_factory.mktemp("attacks")))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_bundle_is_refused_with_its_message(found: dict[str, dict[str, Any]], name: str) -> None:
    verdict = found[name]
    assert verdict["error"] == "BundleError", verdict["words"]
    assert re.search(ATTACKS[name].words, verdict["words"], re.DOTALL), verdict["words"]
    assert verdict["engine"] == ATTACKS[name].engine
    assert len(verdict["words"]) < 5000


def test_there_are_many_and_none_takes_much_memory(found: dict[str, dict[str, Any]]) -> None:
    assert len(found) > 140
    assert max(verdict["peak"] for verdict in found.values()) < MEMORY
