"""Graph files of one precision, marked with the bundle they belong to, and the runtime's check of their structure."""

from collections.abc import Iterable, Mapping

from aaptvae.bundle.graph_check import check_graph
from aaptvae.bundle.manifest import Manifest, Precision, graph_file, metadata
from aaptvae.errors import BundleError

from ..errors import ExportError
from ..graph import TracedGraph, to_bytes


def stamp(manifest: Manifest, precision: Precision, graphs: Iterable[TracedGraph]) -> dict[str, bytes]:
    """Files of `graphs` by name, each with the bundle's identity in its metadata; `ExportError` if one fails the check."""
    files = {}
    for graph in graphs:
        name = graph_file(graph.name, precision)
        files[name] = to_bytes(graph.model, metadata(manifest, graph.name, precision))
        _check_structure(graph, precision, files, manifest)
    return files


def _check_structure(graph: TracedGraph, precision: Precision, files: Mapping[str, bytes], manifest: Manifest) -> None:
    """The check that the runtime makes before it runs a graph; `ExportError`."""
    name = graph_file(graph.name, precision)
    try:
        check_graph(files[name], name, graph.spec, precision, metadata(manifest, graph.name, precision))
    except BundleError as error:
        raise ExportError(f"{error}") from error
