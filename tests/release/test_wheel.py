"""The built files: same bytes twice, exactly the packages' files, and a command line that finds its verbs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("runtime/aaptvae", "training/aaptvae_training", "export/aaptvae_export")

hatchling = pytest.importorskip("hatchling", reason="builds without a network")


def tracked() -> list[str]:
    """Files of the commit; the tests of the sdist have no git."""
    result = subprocess.run(["git", "ls-files", *FLOORS], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("this is not a clone")
    return [name for name in result.stdout.splitlines() if (ROOT / name).exists()]


def built(folder: Path) -> dict[str, bytes]:
    """Wheel and sdist, by their names."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}, capture_output=True, check=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    first, second = built(folder), built(tmp_path_factory.mktemp("again"))
    assert first == second
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_exactly_the_packages(wheel: Path) -> None:
    """A pattern of .gitignore also leaves files out of the wheel."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {name.partition("/")[2] for name in tracked()}


def test_every_verb_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    show = "import aaptvae, aaptvae_export; print(aaptvae.__file__, aaptvae_export.__file__)"
    for arguments in (["-c", show], *(["-m", "aaptvae", verb, "--help"] for verb in ("demo", "train", "export", "encode"))):
        command = [sys.executable, *arguments]
        env = os.environ | {"PYTHONPATH": str(tmp_path)}
        result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        if arguments[0] == "-c":
            assert all(path.startswith(str(tmp_path)) for path in result.stdout.split())
