"""Imports point down only, and the runtime works without torch, onnx and matplotlib: proved in a fresh interpreter."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aaptvae.cli.app import VERBS

ROOT = Path(__file__).parent.parent
FLOORS = {"aaptvae": "runtime", "aaptvae_training": "training", "aaptvae_export": "export"}
ABOVE = {
    "aaptvae": {"aaptvae_training", "aaptvae_export"},
    "aaptvae_training": {"aaptvae_export"},
    "aaptvae_export": set(),
}
HEAVY = {"torch", "onnx", "matplotlib", "safetensors", "tqdm"}

BLOCKED = """
import importlib, importlib.util, pkgutil, sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "matplotlib", "safetensors", "tqdm"}:
            raise ImportError(f"{name} is behind the wall")

sys.meta_path.insert(0, Wall())
import aaptvae
EXTRAS = {"aaptvae.sklearn": "sklearn", "aaptvae.serve": "httptools"}
for module in pkgutil.walk_packages(aaptvae.__path__, "aaptvae."):
    needs = EXTRAS.get(module.name, EXTRAS.get(module.name.rpartition(".")[0], "aaptvae"))  # it may not be installed
    if not module.name.endswith("__main__") and importlib.util.find_spec(needs):
        importlib.import_module(module.name)
"""

VERBS_IN_TURN = """
import json
from aaptvae.cli.app import run
for arguments in json.loads(sys.argv[1]):
    try:
        run(arguments)
    except SystemExit as end:
        print(arguments[0], end.code)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def imports(source: str) -> set[str]:
    """Top-level packages that a module imports, at any depth of its code."""
    names = [alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in names}


def sources(package: str) -> list[Path]:
    folder = ROOT / FLOORS[package] / package
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: these are tests of the built wheel")
    return sorted(folder.rglob("*.py"))


@pytest.mark.slow
def test_every_runtime_module_imports_without_torch() -> None:
    result = run(BLOCKED)
    assert result.returncode == 0, result.stderr
    assert result.stdout == result.stderr == ""


def test_the_wall_stops_imports() -> None:
    tried = "try:\n    import {0}\nexcept ImportError as error:\n    print(error)\n"
    result = run(BLOCKED.partition("import aaptvae\n")[0] + "".join(map(tried.format, sorted(HEAVY))))
    assert result.stdout.splitlines() == [f"{heavy} is behind the wall" for heavy in sorted(HEAVY)], result.stderr


TINY = str(ROOT / "tests/runtime/tiny")
VERB_ARGUMENTS = {
    "encode": [TINY, "x.csv", "-o", "z.csv"],
    "decode": [TINY, "z.csv", "-o", "back.csv"],
    "reconstruct": [TINY, "x.csv", "-o", "again.npy"],
    "score": [TINY, "x.csv", "-o", "scores.csv"],
    "sample": [TINY, "-n", "4", "--seed", "0", "-o", "x.csv"],
    "interpolate": [TINY, "x.csv", "--steps", "3", "-o", "walk.npy"],
    "info": [TINY],
    "verify": [TINY],
    "bench": [TINY, "--precision", "fp32"],
}


def test_every_runtime_verb_runs_behind_the_wall(tmp_path: Path) -> None:
    # tests/runtime: test_hub.py, serve/, cli/test_explore.py
    assert VERB_ARGUMENTS.keys() == VERBS.keys() - {"push", "serve", "explore"}
    verbs = ["sample", *(verb for verb in VERB_ARGUMENTS if verb != "sample")]
    lines = json.dumps([[verb, *VERB_ARGUMENTS[verb]] for verb in verbs])
    command = [sys.executable, "-W", "error", "-c", BLOCKED + VERBS_IN_TURN, lines]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    ended = [line for line in done.stdout.splitlines() if line.split()[0] in verbs and line.split()[1:] == ["0"]]
    assert ended == [f"{verb} 0" for verb in verbs], done.stderr


@pytest.mark.parametrize("package", FLOORS)
def test_no_floor_imports_the_one_above(package: str) -> None:
    for path in sources(package):
        assert not imports(path.read_text()) & ABOVE[package], path


def test_the_runtime_never_imports_heavy_packages() -> None:
    for path in sources("aaptvae"):
        assert not imports(path.read_text()) & HEAVY, path


@pytest.mark.parametrize("source", ["import torch", "def f():\n    from torch.nn import Linear", "import os, torch.nn as n"])
def test_the_import_check_sees_every_kind_of_import(source: str) -> None:
    assert "torch" in imports(source)


def test_importing_aaptvae_loads_neither_numpy_nor_onnxruntime() -> None:
    result = run("import sys, aaptvae; print({'numpy', 'onnxruntime', 'importlib.metadata', 'click'} & set(sys.modules))")
    assert result.stdout == "set()\n", result.stderr


def test_the_public_names_are_these() -> None:
    result = run("import aaptvae; print(*sorted(aaptvae.__all__)); [getattr(aaptvae, name) for name in aaptvae.__all__]")
    assert result.stdout.split() == [
        "AaptvaeError",
        "BundleError",
        "InputError",
        "MissingDependencyError",
        "ProviderError",
        "VAE",
        "__version__",
        "load",
    ]


def test_telemetry_is_off_unless_the_user_enabled_it() -> None:
    show = "from aaptvae.engine import onnxruntime; onnxruntime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    code = "import os; {}; " + show
    assert run(code.format("os.environ.pop('ORT_DISABLE_TELEMETRY', None)")).stdout == "1\n"
    assert run(code.format("os.environ['ORT_DISABLE_TELEMETRY'] = '0'")).stdout == "0\n"
