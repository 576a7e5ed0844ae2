"""A bundle on disk: its manifest, its files, and every check before one of them is used.

`npz` and `golden` need numpy, which `aaptvae info` does not: import them by module.
"""

from .manifest import Manifest, Precision, graph_file
from .reading import Bundle, read_bundle
from .sources import Place
