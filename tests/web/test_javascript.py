"""The runtime in JavaScript: its tests run where Node and its packages are; what they expect is what Python computes now."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from make_expected import EXPECTED, ROOT, expected

PACKAGE = ROOT / "runtime/web"
HAS_NODE = shutil.which("node") is not None and (PACKAGE / "node_modules").is_dir()


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


@pytest.mark.skipif(not HAS_NODE, reason="no node, or no runtime/web/node_modules: make web")
def test_the_tests_in_javascript_pass() -> None:
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1", "NODE_NO_WARNINGS": "1"}
    done = subprocess.run(["npm", "test"], cwd=PACKAGE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
