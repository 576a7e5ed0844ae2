"""What the checks cost at load: `python tests/trust/load_cost.py` on a bundle of 512 features, 400 hidden, 256 latents."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import make_tiny
import numpy as np

import aaptvae
from aaptvae.bundle.reading import read_bundle
from aaptvae.density.observation import ObservationModel
from aaptvae.density.prior import LatentPrior
from aaptvae.engine.network import Settings, open_session

ROUNDS = 25


def milliseconds(act: Callable[[], object]) -> float:
    """Processor time of the fastest of `ROUNDS` calls: other work on the machine only adds to it."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        act()
        taken.append(1e3 * (time.process_time() - started))
    return min(taken)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        prior = LatentPrior(np.full(4, 0.25), np.zeros((4, 256)), np.stack([np.eye(256)] * 4))
        noise = ObservationModel("gaussian", np.zeros(512), np.ones(512), np.ones(512), np.eye(512))
        files = make_tiny.make_files(make_tiny.weights(0, 512, 400, 256), prior, noise)
        path = make_tiny.write(Path(folder, "default"), files)
        zipped = shutil.make_archive(str(path), "zip", path)
        graphs = [(path / f"{name}.onnx").read_bytes() for name in ("encoder", "decoder")]
        aaptvae.load(path)  # onnxruntime is imported
        whole = milliseconds(lambda: aaptvae.load(path, threads=1))
        unreplayed = milliseconds(lambda: aaptvae.load(path, threads=1, golden=False))
        bare = milliseconds(lambda: [open_session(graph, "fp32", 1, Settings()) for graph in graphs])
        read = milliseconds(lambda: read_bundle(path))
        archive = milliseconds(lambda: aaptvae.load(zipped, threads=1))
        size = sum(file.stat().st_size for file in path.iterdir())
    print(
        f"{size / 1e6:.1f} MB: load {whole:.1f} ms, bare sessions {bare:.1f} ms, so all checks {whole - bare:.1f} ms "
        f"(reading and digests {read:.1f}, golden vectors {whole - unreplayed:.1f}); deflated zip {archive:.1f} ms"
    )


if __name__ == "__main__":
    main()
