"""The README's torch-free examples run as they stand and print what they show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", README, re.DOTALL)
TORCH_FREE = [(code, output) for code, output in BLOCKS if "torch" not in code and "aaptvae_training" not in code]
SHELL = [line for block in re.findall(r"```sh torch-free\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line]


def run(code: str, folder: Path) -> str:
    (folder / "artifacts").symlink_to(ROOT / "artifacts")
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_readme_has_examples_to_run() -> None:
    assert TORCH_FREE
    assert SHELL


@pytest.mark.parametrize(("code", "output"), TORCH_FREE, ids=range(len(TORCH_FREE)))
def test_an_example_runs_and_prints_what_it_shows(code: str, output: str, tmp_path: Path) -> None:
    printed = run(code, tmp_path)
    if output:
        assert shape_of(printed) == shape_of(output)


def shape_of(text: str) -> list[str]:
    """Text with its decimals rounded off: another processor may differ in the last one."""
    return [re.sub(r"(\d+\.\d)\d*", r"\1", line).strip() for line in text.strip().splitlines()]


def test_the_shell_examples_run_in_order(tmp_path: Path) -> None:
    (tmp_path / "artifacts").symlink_to(ROOT / "artifacts")
    script = "set -e\n" + "\n".join(SHELL)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    shell = ["/bin/sh", "-c", script]
    result = subprocess.run(shell, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
