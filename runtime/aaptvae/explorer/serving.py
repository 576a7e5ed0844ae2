"""Serve files from memory to browsers on this machine."""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from ..errors import InputError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript",
    "css": "text/css",
    "json": "application/json",
    "wasm": "application/wasm",
}


class Served:
    """Files by path at `address`, on 127.0.0.1 alone; `port` 0 is a free one. `InputError` if the port is taken."""

    def __init__(self, files: Mapping[str, bytes], port: int = 0) -> None:
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(files))
        except OSError as error:
            raise InputError(f"cannot serve on port {port} ({error.strerror}): expected a free port: choose another") from None
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    def run(self) -> None:
        """Answer requests until interrupted, or until `stop` is called in another thread."""
        self._server.serve_forever()

    def stop(self) -> None:
        """End `run`."""
        self._server.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.server_close()


def _handler(files: Mapping[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET and HEAD of the given files; other hosts' pages may not read them."""

        def do_GET(self) -> None:
            """Answer with a file, or 404."""
            self._answer(body=True)

        def do_HEAD(self) -> None:
            """Answer with a file's size and type."""
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            # A page elsewhere could give its own name the address 127.0.0.1 (DNS rebinding): only our name is answered.
            known = self.headers.get("Host", "").rpartition(":")[0] in ("127.0.0.1", "localhost")
            name = self.path.partition("?")[0].lstrip("/") or "index.html"
            data = files.get(name) if known else None
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Type", _TYPES.get(name.rpartition(".")[2], "application/octet-stream"))
            self.send_header("Content-Length", str(len(data or b"")))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if body and data is not None:
                self.wfile.write(data)

        def log_message(self, format: str, *_: object) -> None:
            """Nothing is printed."""

    return Handler
