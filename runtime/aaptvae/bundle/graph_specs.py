"""Inputs and outputs that each graph of a bundle must have."""

from typing import NamedTuple

from .manifest import GraphSpec, Manifest, Precision, TensorSpec, View, graph_file

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


class ServedGraph(NamedTuple):
    """The file of a graph, its inputs and outputs, and its own precision."""

    file: str
    spec: GraphSpec
    precision: Precision


def served_graph(manifest: Manifest, graph: str, precision: Precision) -> ServedGraph:
    """What serves this precision of "encoder", "decoder" or a view, which may lack a twin."""
    if (view := manifest.view(graph)) is not None:
        precision, spec = view.precision(precision), view_spec(manifest.input_dim, view)
    else:
        spec = manifest.encoder if graph == "encoder" else manifest.decoder
    return ServedGraph(graph_file(graph, precision), spec, precision)


def _tensor(name: str, width: int) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", shape=(-1, width))
