"""Changed inputs give a result or an `AaptvaeError`, and so does every input that once gave something else.

Bounded by count: AAPTVAE_FUZZ=1000000 pytest tests/trust/test_fuzz.py, or tests/trust/fuzz.py, runs longer.
"""

import os
from pathlib import Path

import pytest

from . import fuzz

COUNT = int(os.environ.get("AAPTVAE_FUZZ", "12000" if "CI" in os.environ else "3000"))
KEPT = sorted(fuzz.CORPUS.glob("*/*"))


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_changed_inputs_do_not_escape(name: str) -> None:
    assert fuzz.fuzz(name, round(COUNT * fuzz.TARGETS[name].share)) == []


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_the_seeds_are_inputs_that_the_parser_takes(name: str) -> None:
    for seed in fuzz.TARGETS[name].seeds():
        fuzz.TARGETS[name].run(seed)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_of_the_corpus_does_not_escape(path: Path) -> None:
    assert fuzz.attempt(path.parent.name, path.read_bytes()) is None
