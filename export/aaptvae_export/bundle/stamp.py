"""Graph files of one precision, marked with the bundle they belong to, and the runtime's check of their structure."""

from collections.abc import Iterable

from aaptvae.bundle.graph_check import check_graph
from aaptvae.bundle.manifest import Manifest, Precision, graph_file, metadata
from aaptvae.errors import BundleError

from ..errors import ExportError
from ..graph import TracedGraph, to_bytes


def stamp(manifest: Manifest, precision: Precision, graphs: Iterable[TracedGraph]) -> dict[str, bytes]:
    """Files of `graphs` by name, each with the bundle's identity in its metadata; `ExportError` if one fails the check."""
    files = {}
    for graph in graphs:
        name, props = graph_file(graph.name, precision), metadata(manifest, graph.name, precision)
        files[name] = to_bytes(graph.model, props)
        try:
            check_graph(files[name], name, graph.spec, precision, props)
        except BundleError as error:
            raise ExportError(f"{error}") from error
    return files
