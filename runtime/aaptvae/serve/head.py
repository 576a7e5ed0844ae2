"""The head of one HTTP request: its path, and the headers that the server uses."""

from typing import NamedTuple

from .answers import RequestError
from .encoding import encoding

_LONGEST_KNOWN = 1 << 11  # bytes of a head that a connection remembers
_MOST_KNOWN = 4  # such heads


class Head:
    """Filled by the parser, part by part; `RequestError` for what the server does not speak."""

    __slots__ = ("authorization", "encoding", "expects", "hosts", "json_size", "length", "url")

    def __init__(self) -> None:
        self.url = self.authorization = b""
        self.json_size: int | None = None  # Inference-Header-Content-Length
        self.encoding: bytes | None = None  # of a compressed body
        self.length = self.hosts = 0  # of the body, as announced; how many Host headers
        self.expects = False  # 100 Continue

    def add(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        name = name.lower()
        if name == b"content-length":
            self.length = int(value)
        elif name == b"inference-header-content-length":
            self.json_size = int(value) if value.isdigit() and len(value) < 12 else -1
        elif name == b"authorization":
            self.authorization = value
        elif name == b"host":
            self.hosts += 1
        elif name == b"expect":
            self.expects = value.lower() == b"100-continue"
        elif name == b"content-encoding":
            self.encoding = encoding(value)
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            shown = value[:20].decode("latin-1")
            raise RequestError(415, f"the request has the transfer encoding {shown}: expected chunked or none")

    def path(self, version: str) -> bytes:
        """The path, without scheme, host and query; `RequestError` unless this is HTTP/1.1 with one host, or HTTP/1.0."""
        if version not in ("1.1", "1.0"):
            raise RequestError(400, f"the request is HTTP/{version}: expected HTTP/1.1")
        if self.hosts != 1 and (self.hosts or version == "1.1"):
            raise RequestError(400, f"the request has {self.hosts} Host headers: expected one")
        self.expects = self.expects and version == "1.1"
        url = self.url.partition(b"?")[0]
        if url[:7].lower() == b"http://":  # as clients write it to a proxy
            url = b"/" + url[7:].partition(b"/")[2]
        return url


class KnownHead(NamedTuple):
    """The bytes of a head, and what they say."""

    text: bytes
    method: bytes
    path: bytes
    head: Head


class KnownHeads:
    """The heads of a connection's latest requests: clients repeat theirs, and equal bytes need not be parsed again."""

    def __init__(self) -> None:
        self._known: dict[int, KnownHead] = {}  # by the size of the request in bytes

    def find(self, data: bytes) -> KnownHead | None:
        """The head with which `data` begins, if it is one request with a body of the same size as before."""
        known = self._known.get(len(data))
        return known if known is not None and data.startswith(known.text) else None

    def add(self, data: bytes, method: bytes, path: bytes, head: Head) -> None:
        """Remember `head`, that of the last request in `data`, if it is the only one. All requests in `data` are complete."""
        end = data.find(b"\r\n\r\n") + 4
        text, breaks = data[:end], data.count(b"\r\n", 0, end)
        certain = end >= 4 and data[:1].isalpha() and breaks == text.count(b"\n") == text.count(b"\r")
        if certain and not head.expects and len(text) <= _LONGEST_KNOWN and len(text) + head.length == len(data):
            if len(self._known) == _MOST_KNOWN:
                self._known.clear()
            self._known[len(data)] = KnownHead(text, method, path, head)
