"""A finished run that the tests of the report share, judged with pictures."""

import shutil
from pathlib import Path

import pytest

from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.report import JudgedRun, open_report
from aaptvae_training.run import REPORT

SHAPE = (3, 4)


@pytest.fixture(scope="session")
def run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of our own."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("report") / "run"))
    evaluate(folder, image_shape=SHAPE)
    return folder


@pytest.fixture(scope="session")
def text(run: Path) -> str:
    """Its report."""
    return (run / REPORT).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def judged(run: Path) -> JudgedRun:
    """The run as plots take it."""
    return open_report(run, SHAPE)
