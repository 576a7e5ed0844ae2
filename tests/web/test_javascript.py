"""The runtime in JavaScript: its tests run where Node and its packages are; what they expect is what Python computes now."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bad_calls import refusals
from make_expected import EXPECTED, REFUSALS, ROOT, expected

PACKAGE = ROOT / "runtime/web"
HAS_NODE = shutil.which("node") is not None and (PACKAGE / "node_modules").is_dir()
BROWSER = ("browser.test.js", "browserConditions.test.js", "browserHostile.test.js")  # their slow tests run where CI is set
DEVICES = "browserDevices.test.js"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from leaves(entry, f"{path}/{key}")
    else:
        yield path, value


def test_expected_values_are_what_python_computes() -> None:
    committed, computed = dict(leaves(json.loads(EXPECTED.read_text()))), dict(leaves(expected()))
    assert committed.keys() == computed.keys()
    for path, value in computed.items():
        if isinstance(value, list) or "/noise/" in path or path.endswith(("digest", "folder", "precision")):
            assert committed[path] == value, path
        else:  # products in another order on another CPU
            pair = [np.frombuffer(base64.b64decode(text), "<f4") for text in (committed[path], value)]
            np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-4, err_msg=path)


def test_expected_refusals_are_what_python_says() -> None:
    assert json.loads(REFUSALS.read_text()) == refusals()


@pytest.fixture(scope="module")
def compiled() -> list[str]:
    """Names of the compiled test files."""
    if not HAS_NODE:
        pytest.skip("no node, or no runtime/web/node_modules: make web")
    subprocess.run(["npm", "run", "-s", "compile"], cwd=PACKAGE, check=True)
    return sorted(path.name for path in (PACKAGE / "build/test").glob("*.test.js"))


def run_node(names: list[str]) -> str:
    """What the tests of these files print; a test that skips itself skips the whole in pytest's summary."""
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1", "PYTHON": sys.executable, "CHROMIUM": CHROMIUM or ""}
    command = ["node", "--test", "--test-concurrency=1", *(f"build/test/{name}" for name in names)]
    done = subprocess.run(command, cwd=PACKAGE, env=environment, capture_output=True, text=True, check=False)
    assert names and done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout


def test_bundles_compute_in_node_what_python_computes(compiled: list[str]) -> None:
    run_node([name for name in compiled if not name.startswith("browser")])


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: apt-get install chromium")
@pytest.mark.parametrize("name", [*BROWSER, pytest.param(DEVICES, marks=pytest.mark.slow)])
def test_the_page_and_the_package_work_in_chromium(compiled: list[str], name: str) -> None:
    assert sorted([*BROWSER, DEVICES]) == [found for found in compiled if found.startswith("browser")]
    said = run_node([name])
    if skipped := re.search(r"# SKIP (?!slow)(.*)", said):
        pytest.skip(skipped[1])
