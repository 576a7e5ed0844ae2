"""Wrong exports are refused with the graph and the figure, and nothing is published."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from aaptvae.errors import InputError
from aaptvae_export import ExportError, ExportOptions, export_bundle
from aaptvae_export.graph import onnx_model

from ..conftest import make_run
from .mutations import FOLD_MUTATIONS, GRAPH_MUTATIONS

FIGURE = re.compile(r"\d|the layers call (randn_like|dropout), which has no operator")


def refused(run, folder, graph, **options):
    with pytest.raises(ExportError) as caught:
        export_bundle(run, folder / "bundle", **options)
    assert graph in str(caught.value)
    assert FIGURE.search(str(caught.value).removeprefix(graph))
    assert not list(folder.iterdir())
    return str(caught.value)


@pytest.mark.parametrize("name", GRAPH_MUTATIONS)
def test_mutated_graph_is_refused(name, tmp_path, monkeypatch):
    graph, mutate = GRAPH_MUTATIONS[name]
    trace = onnx_model.trace

    def wrong(module, spec, half):
        model = trace(module, spec, half)
        before = model.SerializeToString(deterministic=True)
        if half == graph:
            mutate(model)
            assert model.SerializeToString(deterministic=True) != before
        return model

    monkeypatch.setattr(onnx_model, "trace", wrong)
    refused(make_run(12, 4, (12,)), tmp_path, graph)


@pytest.mark.parametrize("name", FOLD_MUTATIONS)
def test_mutated_layers_are_refused(name, tmp_path, monkeypatch):
    graph, mutate = FOLD_MUTATIONS[name]
    fold = f"fold_{graph}"
    monkeypatch.setattr(onnx_model, fold, mutate(getattr(onnx_model, fold)))
    refused(make_run(), tmp_path, graph)


def test_a_wrong_sigma_is_refused(run, tmp_path):
    wrong = dataclasses.replace(run.observation, sigma=run.observation.sigma * 1.001)
    assert "log density" in refused(dataclasses.replace(run, observation=wrong), tmp_path, "likelihood")


def test_wrong_column_of_small_numbers_is_refused(tmp_path, monkeypatch):
    run = make_run()
    run.model.scaler.scale[0] = 1e-9
    run.model.scaler.mean[0] = 0
    run = dataclasses.replace(
        run,
        observation=dataclasses.replace(
            run.observation, mean=run.model.scaler.mean.numpy(), scale=run.model.scaler.scale.numpy()
        ),
    )
    run.heldout[:, 0] = 1e-9
    export_bundle(run, tmp_path / "right")
    fold = onnx_model.fold_decoder

    def wrong(model, subspace):
        graph = fold(model, subspace)
        graph.out.bias.data[0] += 1e-9
        return graph

    monkeypatch.setattr(onnx_model, "fold_decoder", wrong)
    with pytest.raises(ExportError, match=r"decoder: reconstruction differs from float64 by \d"):
        export_bundle(run, tmp_path / "wrong")


def test_a_refusal_leaves_the_earlier_bundle_alone(run, tmp_path):
    export_bundle(run, tmp_path / "bundle")
    before = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    wrong = dataclasses.replace(run, observation=dataclasses.replace(run.observation, sigma=run.observation.sigma * 2))
    with pytest.raises(ExportError):
        export_bundle(wrong, tmp_path / "bundle", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_impossible_tolerance_refuses_a_correct_export(run, tmp_path):
    message = refused(run, tmp_path, "encoder", options=ExportOptions(tolerance=1e-9))
    assert "the tolerance is 1e-09" in message


@pytest.mark.parametrize("tolerance", [2e-5, 0.0, -1.0, float("nan")])
def test_the_tolerance_only_tightens(tolerance):
    with pytest.raises(InputError, match="it can only be tightened"):
        ExportOptions(tolerance=tolerance)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"linear_skip": False},
        {"sigma": "per_feature"},
        {"sigma": "spectral"},
        {"likelihood": "bernoulli", "sigma": 1.0},
        {"hidden": (9, 7), "dropout": 0.3},
        {"mean_size": 1e4},
        {"sigma": "spectral", "likelihood": "student"},
        {"sigma": "learned", "likelihood": "student"},
        {"input_dim": 64, "latent_dim": 16, "hidden": (400,)},
        pytest.param({"input_dim": 512, "latent_dim": 256, "hidden": (400,)}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_kind_of_model_passes(options, tmp_path):
    made = export_bundle(make_run(**options), tmp_path / "bundle")
    assert max(case.difference for case in made.manifest.parity.worst) <= 1e-5
    assert {case.graph for case in made.manifest.parity.worst} == {"encoder", "decoder", "reconstruct", "likelihood"}


def test_constant_and_near_constant_columns_pass(tmp_path):
    """Column 0 is constant; column 2 is a balanced +1/-1 column, whose deviation is exactly 1."""
    run = make_run()
    scaler, rows = run.model.scaler, len(run.heldout)
    for column, (mean, scale) in enumerate(((2024.0, 1.0), (-7.5, 1e-3), (0.0, 1.0))):
        scaler.mean[column], scaler.scale[column] = mean, scale
    scaler.register_buffer("constant", torch.zeros(12, dtype=torch.bool))
    scaler.constant[0] = True
    observation = dataclasses.replace(run.observation, mean=scaler.mean.numpy().copy(), scale=scaler.scale.numpy().copy())
    run.heldout[:, 0] = 2024.0
    run.heldout[:, 1] = -7.5 + 1e-3 * np.linspace(-2, 2, rows)
    run.heldout[:, 2] = np.where(np.arange(rows) % 2, 1, -1)
    made = export_bundle(dataclasses.replace(run, observation=observation), tmp_path / "bundle")
    assert made.manifest.scaler.constant_columns == 1
