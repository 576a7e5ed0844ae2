"""onnxruntime's WebAssembly for the explorer: a copy on this machine, or where a browser fetches it.

The wheel does not hold it: it has 14 MB, twenty times the size of the page.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

VERSION = "1.30.0"  # of onnxruntime-web, which the page was built with
FILE = "ort-wasm-simd-threaded.wasm"
SHA256 = "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
INTEGRITY = "sha256-" + base64.b64encode(bytes.fromhex(SHA256)).decode()
CDN = "https://cdn.jsdelivr.net"
ADDRESS = f"{CDN}/npm/onnxruntime-web@{VERSION}/dist/{FILE}"
_PLACE = Path("node_modules/onnxruntime-web/dist") / FILE


def find_wasm(given: Path | None = None) -> bytes | None:
    """The bytes of the file `given`, or of an npm package near the working folder; None if there is none of this version.

    `InputError` if `given` is another file than that of onnxruntime-web `VERSION`.
    """
    if given is not None:
        data = given.read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise InputError(f"{given} is not {FILE} of onnxruntime-web {VERSION}: npm install onnxruntime-web@{VERSION}")
        return data
    for path in _places():
        if path.is_file() and hashlib.sha256(data := path.read_bytes()).hexdigest() == SHA256:
            return data
    return None


def _places() -> Iterator[Path]:
    """Where npm puts it: in or above the working folder, and in a checkout of this project."""
    here = Path.cwd()
    yield from (folder / _PLACE for folder in (here, *here.parents))
    yield Path(__file__).parents[2] / "web" / _PLACE
