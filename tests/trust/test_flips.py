"""No damaged bundle is loaded: every byte of the manifest, thousands elsewhere, and ends cut off."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from . import flips

ROOT = Path(__file__).parents[2]
BUNDLES = [pytest.param(ROOT / "artifacts/digits", marks=pytest.mark.slow), ROOT / "tests/runtime/tiny"]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_damaged_bundles_are_refused_before_onnxruntime_is_imported(bundle: Path) -> None:
    command = [sys.executable, flips.__file__, str(bundle)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["escapes"] == []
    assert not found["engine"]
    assert found["flip"] == found["manifest"] + found["elsewhere"]
    assert found["elsewhere"] >= flips.ELSEWHERE
    assert found["end"] >= 500
