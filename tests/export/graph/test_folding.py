"""Layers that cannot be folded."""

import numpy as np
import pytest
import torch
from torch import nn

import aaptvae
from aaptvae_export import ExportError, export_bundle
from aaptvae_export.graph.folding import ACTIVATIONS, fold_decoder, fold_encoder

from ..conftest import make_run


def test_unknown_layer_of_encoder_is_named():
    model = make_run().model
    model.encoder.insert(1, nn.LayerNorm(9))
    with pytest.raises(ExportError, match="encoder: layer 1 is LayerNorm; expected ReLU"):
        fold_encoder(model)


def test_unknown_layer_of_decoder_is_named():
    model = make_run().model
    model.decoder[1] = nn.Tanh()
    with pytest.raises(ExportError, match="decoder: layer 1 is Tanh; expected ReLU"):
        fold_decoder(model)


@pytest.mark.parametrize("fold", [fold_encoder, fold_decoder])
def test_unknown_part_of_the_model_is_named(fold):
    model = make_run().model
    model.mixer = nn.Linear(4, 4)
    with pytest.raises(ExportError, match=r"mixer \(Linear\)"):
        fold(model)


@pytest.mark.parametrize("bounds", [{}, {"bounded": True, "sigma": "spectral"}])
def test_a_new_activation_is_one_entry(bounds, tmp_path, monkeypatch):
    """A kind of layer is added in the network and in `ACTIVATIONS`; export proves that the graph computes the same."""
    run = make_run(hidden=(9, 7), **bounds)
    run.model.encoder[1] = run.model.decoder[3] = nn.SiLU()
    monkeypatch.setitem(ACTIVATIONS, nn.SiLU, lambda x: x * torch.sigmoid(x))
    export_bundle(run, tmp_path / "bundle")
    with torch.no_grad():
        mu = run.model.encode(torch.from_numpy(run.heldout))[0].numpy()
    np.testing.assert_allclose(aaptvae.load(tmp_path / "bundle").embed(run.heldout), mu, rtol=1e-4, atol=1e-4)
