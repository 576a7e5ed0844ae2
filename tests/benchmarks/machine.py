"""What the figures were measured on: processor, cores, memory, versions, and how busy it was."""

import importlib.metadata
import os
import platform
from pathlib import Path

from aaptvae.engine.cpus import multiplies_bytes, usable_cpus

PACKAGES = ("aaptvae", "numpy", "onnxruntime", "torch", "openvino")


def describe() -> str:
    """Two lines."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    bytes_too = ", VNNI" if multiplies_bytes() else ""
    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    return (
        f"{_processor()}, {usable_cpus()} cores{bytes_too}, {memory:.0f} GiB, {platform.system()}, "
        f"load average {os.getloadavg()[0]:.1f}\nPython {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
