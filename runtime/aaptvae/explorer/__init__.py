"""The latent explorer: a static page that runs a bundle in the browser, as files of a folder or served on this machine.

The page is built from `runtime/web/page` and committed in `page/`.
"""

from .map_rows import MapModel, MapRows, heldout_rows, read_table
from .serving import Served
from .site import Site
from .wasm import VERSION, find_wasm
