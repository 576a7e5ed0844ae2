"""Inputs and outputs that each graph of a bundle must have."""

from .manifest import GraphSpec, TensorSpec, View

CONDITION = "c"  # the graphs' second input, where a model has conditions


def encoder_spec(input_dim: int, latent_dim: int, conditions: int = 0) -> GraphSpec:
    """`x [batch, input_dim], c [batch, conditions] -> mu, logvar [batch, latent_dim]`; no c without conditions."""
    outputs = _tensor("mu", latent_dim), _tensor("logvar", latent_dim)
    return GraphSpec(inputs=(_tensor("x", input_dim), *_given(conditions)), outputs=outputs)


def decoder_spec(input_dim: int, latent_dim: int, conditions: int = 0) -> GraphSpec:
    """`z [batch, latent_dim], c [batch, conditions] -> reconstruction [batch, input_dim]`; no c without conditions."""
    return GraphSpec(inputs=(_tensor("z", latent_dim), *_given(conditions)), outputs=(_tensor("reconstruction", input_dim),))


def _given(conditions: int) -> tuple[TensorSpec, ...]:
    return (_tensor(CONDITION, conditions),) if conditions else ()


def view_spec(input_dim: int, view: View) -> GraphSpec:
    """`x [batch, input_dim] -> metric or similarity [batch, dim]`."""
    return GraphSpec(inputs=(_tensor("x", input_dim),), outputs=(_tensor(view.name, view.dim),))


def _tensor(name: str, width: int) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", shape=(-1, width))
