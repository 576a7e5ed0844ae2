"""Low-rank heads: only where held-out rows and noise show a small change."""

import dataclasses

import numpy as np
import pytest
import torch

import aaptvae
from aaptvae.bundle.graph_specs import encoder_spec
from aaptvae.verify import verify
from aaptvae_export import ExportOptions, export_bundle
from aaptvae_export.graph import TracedGraph
from aaptvae_export.graph.folding import fold_encoder
from aaptvae_export.proof import Inputs, Reference, run_graph
from aaptvae_export.variants import factor_heads, low_rank
from aaptvae_export.variants.admission import LIMITS
from aaptvae_export.variants.quantization import to_int8, weights_of

from ..conftest import make_run

WIDTH, LATENTS, HIDDEN = 128, 64, 96


@pytest.fixture
def run():
    """A run whose logvar depends on two directions of the hidden units and mu on all of them."""
    run = make_run(WIDTH, LATENTS, (HIDDEN,), rows=512)
    with torch.no_grad():
        run.model.logvar.weight.copy_(torch.randn(LATENTS, 2) @ torch.randn(2, HIDDEN) / HIDDEN)
        run.model.mu.weight.mul_(3)
    return run


def factored(run, heldout=None):
    """The traced encoder, the same one factored, and the rows that decided."""
    module = fold_encoder(run.model)
    whole = TracedGraph.of("encoder", module, encoder_spec(WIDTH, LATENTS)).model
    rows = Inputs.of(Reference(run.model, None, torch.float32), run.heldout if heldout is None else heldout).features
    rows["held-out"] = run.heldout if heldout is None else heldout
    return whole, factor_heads(whole, module, rows), rows


def test_head_of_few_directions_is_factored(run):
    whole, narrow, rows = factored(run)
    assert weights_of(whole).keys() - weights_of(narrow).keys() == {"logvar.weight"}
    assert weights_of(narrow)["logvar.narrow"].shape == (8, HIDDEN)
    assert weights_of(narrow)["logvar.widen"].shape == (LATENTS, 8)
    for kind in ("held-out", "ordinary"):
        before, after = (run_graph("encoder", model.SerializeToString())(rows[kind]) for model in (whole, narrow))
        np.testing.assert_array_equal(before["mu"], after["mu"])
        np.testing.assert_allclose(before["logvar"], after["logvar"], atol=1e-4)
        assert before["logvar"].std() > 0.05


def test_the_narrow_products_stay_floats_in_integers(run):
    whole, narrow, _ = factored(run)
    operators = [[node.op_type for node in to_int8(model).graph.node] for model in (whole, narrow)]
    assert [names.count("MatMulInteger") for names in operators] == [4, 4]
    assert [names.count("Gemm") for names in operators] == [0, 1]
    assert weights_of(to_int8(narrow))["logvar.narrow.int8"].shape == (HIDDEN, 8)


def test_head_of_many_directions_is_kept(run):
    with torch.no_grad():
        run.model.logvar.weight.copy_(torch.randn(LATENTS, HIDDEN) / HIDDEN**0.5)
    whole, same, _ = factored(run)
    assert same is whole


def test_held_out_rows_alone_are_not_enough(run, monkeypatch):
    few = np.random.default_rng(1).standard_normal((512, 2)) @ np.random.default_rng(2).standard_normal((2, WIDTH))
    scaler = run.model.scaler
    heldout = (scaler.mean.numpy() + scaler.scale.numpy() * few).astype(np.float32)
    assert "mu.weight" in weights_of(factored(run, heldout)[1])
    monkeypatch.setitem(low_rank.MAX_DIVERGENCE, "ordinary", float("inf"))
    assert "mu.narrow" in weights_of(factored(run, heldout)[1])


def test_too_few_rows_factor_no_head(run):
    whole, same, _ = factored(run, run.heldout[:63])
    assert same is whole


@pytest.mark.slow
def test_factored_int8_is_reproducible_and_verifies(run, tmp_path):
    options = ExportOptions(precisions=("int8",), speedup=0)
    made = [export_bundle(run, tmp_path / name, options) for name in "ab"]
    assert made[0].digest == made[1].digest
    assert verify(made[0].path).passed
    assert b"logvar.narrow.int8" in (tmp_path / "a" / "encoder.int8.onnx").read_bytes()
    assert b"narrow" not in (tmp_path / "a" / "encoder.onnx").read_bytes()
    assert made[0].manifest.twins[0].elbo_loss < 1


@pytest.mark.parametrize(
    "hidden", [(1,), *(pytest.param(widths, marks=pytest.mark.slow) for widths in [(16,), (96, 16), (96, 1), (24, 96)])]
)
def test_hidden_layers_of_any_width_become_int8_twins(hidden, tmp_path):
    run = make_run(WIDTH, LATENTS, hidden, rows=256)
    path = tmp_path / "a"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LIMITS, "int8", dataclasses.replace(LIMITS["int8"], bytes_ratio=9, elbo_loss=9, r2_loss=9))
        export_bundle(run, path, ExportOptions(precisions=("int8",), speedup=0))
    assert verify(path).passed
    whole, twin = (aaptvae.load(path, precision=name).encode(run.heldout) for name in ("fp32", "int8"))
    for exact, close in zip(whole, twin, strict=True):
        assert np.linalg.norm(exact - close) < 0.05 * np.linalg.norm(exact)


def test_change_with_small_divergence_is_limited_too(run):
    with torch.no_grad():
        run.model.logvar.weight.copy_(torch.randn(LATENTS, HIDDEN) * 1e-3)
        run.model.logvar.bias.zero_()
    whole, same, _ = factored(run)
    assert same is whole
