"""Views in a bundle: proven like the model's own graphs, decoded back, and served at every precision."""

import dataclasses

import numpy as np
import pytest
import torch

import aaptvae
from aaptvae.errors import InputError
from aaptvae.verify import verify
from aaptvae_export import ExportError, ExportOptions, export_bundle
from aaptvae_export.bundle import view_draft
from aaptvae_export.bundle.view_draft import MOST_RECALL_LOSS
from aaptvae_export.graph import fold_similarity
from aaptvae_export.graph import onnx_model as graphs
from aaptvae_training.run.views import RunViews
from aaptvae_training.similarity.head import starting_head
from aaptvae_training.similarity.metric import metric_maps
from aaptvae_training.similarity.views import Chosen

from ..conftest import make_run
from ..proof.mutations import drop_relu, perturb_weight, round_to_float16

TWINS = ExportOptions(precisions=("fp32", "int8", "fp16"), speedup=0.0)


def viewed_run(geometry="euclidean", dim=6, **options):
    """A run with a metric map and a head whose MLP matters."""
    run = make_run(128, 16, (96,), **options)
    torch.manual_seed(1)
    metric = metric_maps(run.model, run.heldout, geometry)["jacobian"]
    axes = np.linalg.qr(np.random.default_rng(2).standard_normal((128, dim)))[0]
    mean, scale = run.observation.mean, run.observation.scale
    head = starting_head(mean, scale, axes, geometry, hidden=48)
    with torch.no_grad():
        head.out.weight.mul_(50)
    choice = Chosen("mlp", 0.5, 0.4)
    return dataclasses.replace(run, views=RunViews(geometry, metric, choice, head, choice))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    run, folder = viewed_run(), tmp_path_factory.mktemp("viewed") / "b"
    return run, export_bundle(run, folder, TWINS), folder


def test_many_columns_with_means_keep_their_digits():
    """1,460 columns whose means are five deviations: the bias cancelled a sum of which float32 has too few digits."""
    rng = np.random.default_rng(3)
    mean, scale = np.full(1460, 1.0), np.full(1460, 0.2)
    head = starting_head(mean, scale, np.linalg.qr(1 + rng.standard_normal((1460, 8)))[0], "euclidean")
    x = (mean + scale * rng.standard_normal((500, 1460))).astype(np.float32)
    with torch.no_grad():
        got = fold_similarity(head)(torch.from_numpy(x)).numpy()
    exact = (x.astype(np.float64) - mean) / scale @ head.linear.weight.detach().double().numpy().T
    assert np.abs(got - exact).max() < 3e-6 * np.abs(exact).max()


def test_views_are_those_of_the_run(exported):
    run, made, folder = exported
    vae, x = aaptvae.load(folder), run.heldout
    with torch.no_grad():
        mu = run.model.encode(torch.from_numpy(x))[0].numpy()
        similarity = run.views.head.double()(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(vae.embed(x, view="metric"), run.views.metric(mu), atol=1e-4 * np.abs(mu).max())
    np.testing.assert_allclose(vae.embed(x, view="similarity"), similarity, atol=1e-4 * np.abs(similarity).max())
    metric, head = made.manifest.views
    assert (metric.name, metric.dim, metric.method, head.name, head.dim) == ("metric", 16, "mlp", "similarity", 6)
    assert {"metric", "similarity"} <= {case.graph for case in made.manifest.parity.worst}
    assert verify(folder).passed


def test_the_metric_view_decodes_to_the_reconstruction(exported):
    run, _, folder = exported
    vae, x = aaptvae.load(folder), run.heldout
    back, expected = vae.decode(vae.embed(x, view="metric"), view="metric"), vae.reconstruct(x)
    np.testing.assert_allclose(back / run.observation.scale, expected / run.observation.scale, atol=1e-3)


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.1), ("fp16", 0.01)])
@pytest.mark.parametrize("view", ["metric", "similarity"])
def test_twins_of_views_lose_what_they_state(exported, view, precision, most):
    run, made, folder = exported
    twins = {twin.precision: twin for twin in next(entry for entry in made.manifest.views if entry.name == view).twins}
    twin = twins[precision]
    assert twin.bytes_ratio < 0.7 and twin.recall_loss <= MOST_RECALL_LOSS[precision]
    whole, short = (aaptvae.load(folder, precision=name).embed(run.heldout, view=view) for name in ("fp32", precision))
    assert 0 < np.abs(whole - short).max() < most * np.abs(whole).max()


@pytest.mark.slow
def test_a_view_losing_too_much_stays_fp32(tmp_path, monkeypatch):
    monkeypatch.setattr(view_draft, "MOST_RECALL_LOSS", {"int8": -1.0, "fp16": -1.0})
    run = viewed_run()
    made = export_bundle(run, tmp_path / "b", TWINS)
    assert len(made.manifest.twins) == 2 and all(view.twins == () for view in made.manifest.views)
    assert not (tmp_path / "b" / "metric.fp16.onnx").exists()
    loaded = [aaptvae.load(tmp_path / "b", precision=precision) for precision in ("fp32", "fp16")]
    assert np.array_equal(*(vae.embed(run.heldout, view="metric") for vae in loaded))


@pytest.mark.parametrize("view", ["metric", "similarity"])
@pytest.mark.parametrize(
    "mutate",
    [perturb_weight, pytest.param(drop_relu, marks=pytest.mark.slow), pytest.param(round_to_float16, marks=pytest.mark.slow)],
)
def test_a_view_of_another_run_is_refused(tmp_path, monkeypatch, view, mutate):
    trace = graphs.trace

    def wrong(module, spec, graph):
        model = trace(module, spec, graph)
        if graph == view:
            mutate(model)
        return model

    monkeypatch.setattr(graphs, "trace", wrong)
    with pytest.raises(ExportError, match=view):
        export_bundle(viewed_run(), tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_a_stale_head_is_refused(tmp_path, monkeypatch):
    fold, other = view_draft.fold_similarity, viewed_run().views.head
    with torch.no_grad():
        other.linear.weight.mul_(1.001)
    monkeypatch.setattr(view_draft, "fold_similarity", lambda _: fold(other))
    with pytest.raises(ExportError, match=r"similarity: similarity differs from float64 by \d"):
        export_bundle(viewed_run(), tmp_path / "b")


@pytest.mark.parametrize(
    "options",
    [
        {"sigma": "spectral"},
        pytest.param({"mean_size": 1e4}, marks=pytest.mark.slow),
        pytest.param({"geometry": "cosine"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_kind_of_run_passes_the_gate(tmp_path, options):
    made = export_bundle(viewed_run(**options), tmp_path / "b")
    assert len(made.manifest.views) == 2


def test_compaction_keeps_the_metric_of_what_is_kept(tmp_path):
    run = viewed_run()
    made = export_bundle(run, tmp_path / "b", ExportOptions(compact=0.8))
    vae, whole = aaptvae.load(tmp_path / "b"), run.views.metric
    kept = made.manifest.latent_dim
    assert kept < 16 and vae.views.width("metric") == kept
    x = run.heldout
    back = vae.decode(vae.embed(x, view="metric"), view="metric")
    np.testing.assert_allclose(back / run.observation.scale, vae.reconstruct(x) / run.observation.scale, atol=1e-3)
    with torch.no_grad():
        mu = run.model.encode(torch.from_numpy(x))[0].numpy()
    view, short = whole(mu), vae.embed(x, view="metric").astype(np.float64)
    distances, kept_distances = (np.linalg.norm(rows[:1] - rows[1:], axis=1) for rows in (view, short))
    assert (kept_distances <= distances * (1 + 1e-3)).all() and np.corrcoef(distances, kept_distances)[0, 1] > 0.8


def test_a_run_of_before_exports_without_views(run, tmp_path):
    made = export_bundle(run, tmp_path / "b")
    assert made.manifest.views == () and not (tmp_path / "b" / "views.npz").exists()
    with pytest.raises(InputError, match="this bundle has mu"):
        aaptvae.load(tmp_path / "b").embed(run.heldout, view="metric")
