"""Layers that cannot be folded."""

import pytest
from torch import nn

from aaptvae_export import ExportError
from aaptvae_export.graph.folding import fold_decoder, fold_encoder

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
