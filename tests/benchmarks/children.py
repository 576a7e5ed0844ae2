"""Programs run as a user runs them: how long they take from start to end, and the most memory they held."""

import os
import subprocess
import sys
import time

PYTHON = sys.executable

# A process's largest resident set includes that of the one it was forked from: a small one stands between.
BETWEEN = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)
sys.exit(status)
"""


def run(*command: object) -> float:
    """Seconds of a program run to its end; `RuntimeError` with its own words if it fails."""
    start = time.perf_counter()
    _checked(*command)
    return time.perf_counter() - start


def peak(*command: object) -> int:
    """The most memory, in bytes, that a program held."""
    said = _checked(PYTHON, "-S", "-c", BETWEEN, *command)
    return int(said.split()[-1]) * (1 if sys.platform == "darwin" else 1024)


def _checked(*command: object) -> str:
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled by the second run, as pip leaves an installed package
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[:3]}: {done.stderr}")
    return done.stdout
