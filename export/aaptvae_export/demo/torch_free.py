"""The part of the demo that runs without torch: `python torch_free.py BUNDLE HELDOUT.npy RESULTS.npz`.

It blocks the import of torch, onnx and matplotlib, then imports the runtime.
"""

import json
import sys
import time

_BLOCKED = ("torch", "onnx", "matplotlib", "aaptvae_training", "aaptvae_export")


def main(bundle: str, heldout: str, results: str) -> None:
    """Encode, reconstruct, sample and interpolate; arrays to `results`, seconds as JSON to stdout."""
    sys.modules.update(dict.fromkeys(_BLOCKED))  # type: ignore[arg-type] # None makes an import fail
    seconds = {}
    started = time.perf_counter()
    import numpy as np  # noqa: PLC0415

    import aaptvae  # noqa: PLC0415

    vae = aaptvae.load(bundle)
    seconds["torch-free start, imports and load"] = time.perf_counter() - started
    x = np.load(heldout)
    started = time.perf_counter()
    reconstruction = vae.reconstruct(x)
    seconds[f"reconstruct {len(x)} rows"] = time.perf_counter() - started
    started = time.perf_counter()
    vae.encode(x[:1])
    seconds["encode one row"] = time.perf_counter() - started
    path = vae.interpolate(x[:1], x[1:2], steps=10)
    np.savez(results, originals=x, reconstruction=reconstruction, samples=vae.sample(64, seed=0), path=path)
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
