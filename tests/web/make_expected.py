"""Makes expected.json and refusals.json in runtime/web/test, what Python computes and says: python tests/web/make_expected.py

tests/web/test_javascript.py fails where a committed file differs from what this script computes now.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from bad_calls import refusals

import aaptvae
from aaptvae.density.noise import Stream, chi_square_rows, normal_rows, uniform_rows

ROOT = Path(__file__).parents[2]
EXPECTED = ROOT / "runtime/web/test/expected.json"
REFUSALS = ROOT / "runtime/web/test/refusals.json"
BUNDLES = {
    "digits": ("artifacts/digits", "fp32"),
    "tiny": ("tests/runtime/tiny", "fp32"),
    "schema1": ("tests/fixtures/schema1/bundle", "fp32"),
    "int8": ("tests/web/int8", "int8"),
    "bounded": ("tests/web/bounded", "fp32"),
    "wide": ("tests/web/wide", "fp32"),
    "observed": ("tests/web/observed", "fp32"),
    "conditional": ("tests/web/conditional", "fp32"),
    "named": ("tests/web/named", "int8"),
}
SEEDS = 1_000


def packed(values: np.ndarray) -> str:
    """float32 numbers as base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def noise() -> dict[str, Any]:
    """Normals of rows 63 and 64, in two blocks, of 1,000 seeds; digests of longer sequences, which hold every kind of draw."""
    seeds = [int(seed) for seed in np.random.default_rng(5).integers(0, 2**64, SEEDS, np.uint64)]
    normals = np.concatenate([normal_rows(seed, 63, 65, 3, Stream.LATENT) for seed in seeds])
    long = normal_rows(0, 0, 1000, 16, Stream.LATENT)
    uniforms = uniform_rows(2**64 - 1, 10, 200, 1, Stream.COMPONENT)
    chi_squares = np.concatenate([chi_square_rows(seed, 60, 70, 2.5 + seed, Stream.TAIL) for seed in range(40)])
    return {
        "seeds": [str(seed) for seed in seeds],
        "normals": packed(normals),
        "chi_squares": packed(chi_squares),
        "long": hashlib.sha256(long.astype("<f4").tobytes()).hexdigest(),
        "uniforms": hashlib.sha256(uniforms.astype("<f8").tobytes()).hexdigest(),
    }


def conditions_of(vae: aaptvae.VAE, count: int) -> dict[str, list[Any]] | None:
    """Values by name for `count` rows: categories in turn, and ages from 20 up."""
    return (
        {"kind": ["abc"[i % 3] for i in range(count)], "age": [20 + i % 45 for i in range(count)]} if vae.conditions else None
    )


def results(folder: str, precision: Any) -> dict[str, Any]:
    """What a bundle computes for its own golden rows."""
    vae = aaptvae.load(ROOT / folder, precision=precision)
    with np.load(ROOT / folder / "golden.npz") as golden:
        x = golden["x"][: golden["real_rows"][0]]
    c, pairs, many, few = (conditions_of(vae, count) for count in (len(x), 2, 100, 10))
    computed = {
        "mu": vae.embed(x, condition=c),
        "reconstruction": vae.reconstruct(x, condition=c),
        "sample": vae.sample(100, seed=7, condition=many),
        "later": vae.sample(range(130, 140), seed=2**63, prior="standard", temperature=0.5, condition=few),
        "noisy": vae.sample(range(60, 160), seed=7, observation_noise=True, condition=many),
        "linear": vae.interpolate(x[:2], x[2:4], 4, condition=pairs),
        "slerp": vae.interpolate(x[:2], x[2:4], 4, path="slerp", condition=pairs),
        **{view: vae.embed(x, view=view) for view in vae.views.names},
        "reparameterize": vae.reparameterize(*vae.encode(x, condition=c), seed=3),
    }
    if "metric" in vae.views.names:
        computed["of_metric"] = vae.decode(computed["metric"], view="metric")
    if vae.manifest.marginals:
        computed["as_observed"] = vae.sample(range(60, 160), seed=7, as_observed=True, condition=many)
    if vae.conditions:
        computed["sample_under"] = vae.sample(100, seed=7, condition={"kind": "b", "age": 50})
    for prior in ("standard", "fitted"):
        computed[f"log_likelihood_{prior}"] = vae.log_likelihood(x, 8, seed=5, prior=prior, condition=c)
    found = vae.score(x, condition=c)._asdict()
    scores = {name: np.where(np.isnan(value), -1, value) for name, value in found.items()}
    return {
        "folder": folder,
        "precision": precision,
        "digest": vae.digest,
        "unit": packed(vae.observation.unit),
        **{name: packed(value) for name, value in (computed | scores).items()},
    }


def expected() -> dict[str, Any]:
    """Everything that the tests in JavaScript compare with."""
    return {"noise": noise(), "bundles": {name: results(*place) for name, place in BUNDLES.items()}}


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps(expected(), indent=1) + "\n")
    REFUSALS.write_text("[\n" + ",\n".join(json.dumps(call, ensure_ascii=False) for call in refusals()) + "\n]\n")
