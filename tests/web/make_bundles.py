"""Makes bundles for the tests in JavaScript, with torch: python tests/web/make_bundles.py [NAME...]

All have random weights. `int8` has twins; `bounded` has every operator of a graph and a mixture of two noises; `wide` has
noise along eight principal axes, which lie in its decoder; `observed` has maps of samples to observed values: constant,
binary, counted, half zero, and continuous; `conditional` takes a category and a number, and its prior depends on them;
`named` has int8 twins, the same conditions, a bernoulli likelihood, rows without missing values replaced, and names that are
HTML, formulas of a spreadsheet, quoted and in other scripts.
"""

import dataclasses
import sys
from pathlib import Path

import msgspec
import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.export.conftest import make_run  # noqa: E402

from aaptvae.bundle.manifest import Condition  # noqa: E402
from aaptvae_export import ExportOptions, export_bundle  # noqa: E402
from aaptvae_export.variants.admission import LIMITS  # noqa: E402
from aaptvae_training import Run  # noqa: E402
from aaptvae_training.finish.marginal_fit import maps_to_observed  # noqa: E402
from aaptvae_training.model.as_numpy import observation_of  # noqa: E402

HERE = ROOT / "tests/web"
CONDITIONS = Condition(name="kind", categories=("a", "b", "c")), Condition(name="age", mean=40.0, scale=10.0)
NAMES = (
    "<img src=x onerror=\"document.title='run'\">",
    "<script>document.title='run'</script>",
    "{a|b} {value} %s",
    'with "quotes", and a comma',
    "=1+1",
    "возраст",
    "年齢",
    "عمر",
    "e\u0301 and \u00e9",
    "& &lt; &amp;",
    "one\ttab",
    "a name of many words that is longer than any axis of a chart has room for, on any screen",
)


def admit_int8() -> None:
    LIMITS["int8"] = dataclasses.replace(LIMITS["int8"], bytes_ratio=9, elbo_loss=9, r2_loss=9)  # too small to gain by int8


def int8() -> None:
    admit_int8()
    run = make_run(64, 8, (64,), rows=256, sigma="spectral", likelihood="student")
    export_bundle(run, HERE / "int8", ExportOptions(precisions=("int8",), speedup=0, name="int8"), force=True)


def bounded() -> None:
    export_bundle(broad_run(24, 4, (16,), rows=256), HERE / "bounded", ExportOptions(name="bounded"), force=True)


def observed() -> None:
    run = broad_run(5, 2, (8,), rows=256)
    rows = run.heldout.copy()
    ranks = rows.argsort(axis=0).argsort(axis=0)
    rows[:, 0], rows[:, 1], rows[:, 2] = 3, ranks[:, 1] > 99, ranks[:, 2] // 40
    rows[:, 3] = np.maximum(rows[:, 3], np.median(rows[:, 3]))
    run = dataclasses.replace(run, marginals=maps_to_observed(run.model, run.prior, rows, 0))
    export_bundle(run, HERE / "observed", ExportOptions(name="observed"), force=True)


def conditional() -> None:
    run = make_run(5, 2, (8,), rows=64, conditions=CONDITIONS)
    prior = dataclasses.replace(run.prior, gate=np.array([[2.0, -1.0, 0.0, 0.5], [-2.0, 1.0, 0.0, -0.5]]))
    run = dataclasses.replace(run, prior=prior, marginals=maps_to_observed(run.model, prior, run.heldout, 0))
    export_bundle(run, HERE / "conditional", ExportOptions(name="conditional"), force=True)


def named() -> None:
    admit_int8()
    run = make_run(len(NAMES), 3, (64, 64), rows=256, conditions=CONDITIONS, likelihood="bernoulli")
    train = msgspec.structs.replace(run.config.train, missing="mean")
    run = dataclasses.replace(run, config=msgspec.structs.replace(run.config, columns=NAMES, train=train))
    export_bundle(run, HERE / "named", ExportOptions(precisions=("int8",), speedup=0, name="named"), force=True)


def broad_run(*widths: int | tuple[int, ...], rows: int) -> Run:
    run = make_run(*widths, rows=rows, bounded=True, sigma="spectral", likelihood="student")
    with torch.no_grad():
        run.model.broad_log_sigma.fill_(0.7)
    return dataclasses.replace(run, observation=observation_of(run.model))


def wide() -> None:
    run = make_run(60, 4, (16,), rows=64, bounded=True, sigma="spectral", likelihood="student", axes=8)
    with torch.no_grad():
        run.model.log_sigma += torch.linspace(-0.5, 0.5, 9)
    run = dataclasses.replace(run, observation=observation_of(run.model))
    export_bundle(run, HERE / "wide", ExportOptions(name="wide"), force=True)


if __name__ == "__main__":
    makers = (int8, bounded, wide, observed, conditional, named)
    for make in makers:
        if make.__name__ in (sys.argv[1:] or [make.__name__]):
            make()
