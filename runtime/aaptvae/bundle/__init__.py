"""A bundle on disk: its manifest, its files, and every check before one of them is used.

`npz` and `golden` need numpy, which `aaptvae info` does not: import them by module.
"""

from .manifest import MANIFEST, GraphSpec, Manifest, Precision, graph_file
from .reading import Bundle, read_bundle, read_manifest
from .sources import Place

__all__ = ["MANIFEST", "Bundle", "GraphSpec", "Manifest", "Place", "Precision", "graph_file", "read_bundle", "read_manifest"]
