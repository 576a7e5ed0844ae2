"""Programs run as a user runs them: how long they take from start to end, and the most memory they held."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

PYTHON = sys.executable


@dataclass(frozen=True)
class Child:
    """A finished program: seconds, and the largest resident set in bytes."""

    seconds: float
    peak: int


def run(*command: object) -> Child:
    """Run to the end; `RuntimeError` with its own words if it fails."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=said,
                                   env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command[:3]}: {said.read().decode(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Child(seconds, usage.ru_maxrss * unit)
