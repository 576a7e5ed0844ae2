"""Training on a file larger than most memories: the most it held, beyond what importing torch holds."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import children
import numpy as np
from lines import Line, duration

ROWS, WIDTH, BLOCK = 4_000_000, 512, 100_000  # 8.2 GB
MOST = 1.5e9


def lines() -> Iterator[Line]:
    """One epoch of `aaptvae train` in a process of its own, scaler, covariance, validation and evaluation included."""
    with tempfile.TemporaryDirectory() as folder:
        source, run = Path(folder, "x.npy"), Path(folder, "run")
        _write(source)
        command = (children.PYTHON, "-m", "aaptvae", "train", source, "-o", run, "--latent-dim", 64, "--epochs", 1)
        idle = children.peak(children.PYTHON, "-c", "import torch")
        peak, seconds = children.peak(*command), children.run(*command, "--force")
    title = f"`aaptvae train` of {ROWS * WIDTH * 4 / 1e9:.1f} GB, one epoch:"
    yield Line(
        f"{title} peak memory beyond torch's {idle / 1e6:.0f} MB",
        f"{(peak - idle) / 1e6:.0f} MB",
        "",
        wanted=f"under {MOST / 1e6:.0f} MB",
    )
    yield Line(f"{title} from start to report", duration(seconds), f"{ROWS / seconds:,.0f} rows/s")


def _write(path: Path) -> None:
    """Rows along 64 axes with noise, block by block."""
    generator = np.random.default_rng(0)
    axes = generator.standard_normal((64, WIDTH), dtype=np.float32)
    table = np.lib.format.open_memmap(path, "w+", np.float32, (ROWS, WIDTH))
    for start in range(0, ROWS, BLOCK):
        table[start : start + BLOCK] = generator.standard_normal((BLOCK, 64), dtype=np.float32) @ axes
        table[start : start + BLOCK] += generator.standard_normal((BLOCK, WIDTH), dtype=np.float32)
    table.flush()
