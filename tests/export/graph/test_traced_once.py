"""The fixture that traces once for each structure gives the bytes that tracing gives."""

from aaptvae.bundle.graph_specs import decoder_spec, encoder_spec
from aaptvae_export.graph import onnx_model
from aaptvae_export.graph.folding import fold_decoder, fold_encoder

from ..conftest import make_run, structure_of


def test_weights_are_put_into_a_traced_graph(traced_once):
    options = {"sigma": "spectral", "likelihood": "student", "bounded": True, "axes": 8}
    for name, fold, spec in (("encoder", fold_encoder, encoder_spec(12, 4)), ("decoder", fold_decoder, decoder_spec(12, 4))):
        onnx_model.trace(fold(make_run(seed=5, **options).model), spec, name)
        layers = fold(make_run(seed=6, **options).model)
        expected = traced_once(layers, spec, name)
        assert onnx_model.to_bytes(onnx_model.trace(layers, spec, name)) == onnx_model.to_bytes(expected)


def test_other_constants_are_another_structure():
    one, other = fold_encoder(make_run().model), fold_encoder(make_run().model)
    other.logvar_range = (-1.0, 1.0)
    assert structure_of(one, encoder_spec(12, 4), "encoder") != structure_of(other, encoder_spec(12, 4), "encoder")
