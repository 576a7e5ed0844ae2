"""The latent explorer: a static page that runs a bundle in the browser, as files of a folder or served on this machine.

The page is built from `runtime/web/page` and committed in `page/`.
"""

from .serving import Served
from .site import MapRows, Site, check_shape, read_table
from .wasm import VERSION, find_wasm

__all__ = ["VERSION", "MapRows", "Served", "Site", "check_shape", "find_wasm", "read_table"]
