"""Makes bundles for the tests in JavaScript, with torch: python tests/web/make_bundles.py

All have random weights. `int8` has twins; `bounded` has every operator of the exporter and a mixture of two noises; `wide` has
noise along eight principal axes, which lie in its decoder.
"""

import dataclasses
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.export.conftest import make_run  # noqa: E402

from aaptvae_export import ExportOptions, export_bundle  # noqa: E402
from aaptvae_export.variants.admission import LIMITS  # noqa: E402
from aaptvae_training.model.as_numpy import observation_of  # noqa: E402

HERE = ROOT / "tests/web"

if __name__ == "__main__":
    LIMITS["int8"] = dataclasses.replace(LIMITS["int8"], bytes_ratio=9, elbo_loss=9, r2_loss=9)  # too small to gain by int8
    run = make_run(64, 8, (64,), rows=256, sigma="spectral", likelihood="student")
    export_bundle(run, HERE / "int8", ExportOptions(precisions=("int8",), speedup=0, name="int8"), force=True)
    run = make_run(24, 4, (16,), rows=256, bounded=True, sigma="spectral", likelihood="student")
    with torch.no_grad():
        run.model.broad_log_sigma.fill_(0.7)
    run = dataclasses.replace(run, observation=observation_of(run.model))
    export_bundle(run, HERE / "bounded", ExportOptions(name="bounded"), force=True)
    run = make_run(60, 4, (16,), rows=64, bounded=True, sigma="spectral", likelihood="student", axes=8)
    with torch.no_grad():
        run.model.log_sigma += torch.linspace(-0.5, 0.5, 9)
    run = dataclasses.replace(run, observation=observation_of(run.model))
    export_bundle(run, HERE / "wide", ExportOptions(name="wide"), force=True)
