"""The latent explorer: a static page that runs a bundle in the browser, as files of a folder or served on this machine.

The page is built from `runtime/web/page` and committed in `page/`.
"""

from .serving import Served
from .site import Site, Table, read_table
from .wasm import VERSION, find_wasm

__all__ = ["VERSION", "Served", "Site", "Table", "find_wasm", "read_table"]
