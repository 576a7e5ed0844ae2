"""Loads hostile bundles, a list of (name, path, precision) on stdin, and says how each ended; it imports nothing else."""

import json
import sys
import time
from pathlib import Path

import aaptvae


def peak() -> int:
    """The largest memory of this process so far, in bytes; `getrusage` counts that of the parent it was forked from."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def judge(path: str, precision: str) -> dict[str, object]:
    """Class and words of what was raised, seconds, the largest memory so far, and whether onnxruntime is there."""
    started, error, words = time.perf_counter(), "", ""
    try:
        aaptvae.load(path, precision=precision)
    except BaseException as caught:  # an escape is a verdict too
        error, words = type(caught).__name__, str(caught)
    seconds = time.perf_counter() - started
    return {"error": error, "words": words, "seconds": seconds, "peak": peak(), "engine": "onnxruntime" in sys.modules}


if __name__ == "__main__":
    print(json.dumps({name: judge(path, precision) for name, path, precision in json.load(sys.stdin)}))
