"""Layers that cannot be folded, and columns that are constant."""

import pytest
import torch
from torch import nn

from aaptvae_export import ExportError
from aaptvae_export.graph.folding import constant_columns, fold_decoder, fold_encoder

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


def test_deviation_of_one_is_not_constant():
    """A balanced column of +1 and -1 has deviation exactly 1."""
    scaler = make_run().model.scaler
    scaler.scale[:2] = 1.0
    scaler.register_buffer("constant", torch.zeros(12, dtype=torch.bool))
    scaler.constant[1] = True
    assert constant_columns(scaler).nonzero().flatten().tolist() == [1]


def test_runs_without_mask_use_the_scale():
    scaler = make_run().model.scaler
    scaler.scale[0] = 1.0
    if "constant" in scaler._buffers:
        scaler.constant = None
    assert constant_columns(scaler).nonzero().flatten().tolist() == [0]
