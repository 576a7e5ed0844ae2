"""HTTP responses, and the refusals that become one."""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from ..errors import AaptvaeError, InputError

JSON = b"application/json"
TEXT = b"text/plain; version=0.0.4; charset=utf-8"
BINARY = b"application/octet-stream"
RETRY_SECONDS = 1
_LONGEST = 4000  # characters of a sentence

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Answer:
    """One response: its status, its body in parts, further header lines, how many rows it holds, and the calls of a model."""

    __slots__ = ("executions", "headers", "kind", "parts", "rows", "status")

    def __init__(
        self, status: int, parts: Sequence[bytes | memoryview], kind: bytes = JSON, headers: bytes = b"", rows: int = 0
    ) -> None:
        self.status, self.parts, self.kind, self.headers, self.rows = status, parts, kind, headers, rows
        self.executions = 1  # 0: those of another answer

    def packed(self, keep_alive: bool, body: bool = True) -> bytes:
        """The bytes to send; without the body for HEAD."""
        size = sum(len(part) for part in self.parts)
        head = b"%scontent-type: %s\r\ncontent-length: %d\r\n%s%s\r\n" % (
            _LINES[self.status],
            self.kind,
            size,
            self.headers,
            b"" if keep_alive else b"connection: close\r\n",
        )
        return b"".join([head, *self.parts]) if body else head


class RequestError(AaptvaeError):
    """A request that is answered by this HTTP status, a sentence, and further header lines."""

    def __init__(self, status: int, text: str, headers: bytes = b"") -> None:
        super().__init__(text)
        self.status, self.headers = status, headers


def as_json(content: object, status: int = 200) -> Answer:
    """A response with `content` as JSON."""
    return Answer(status, [msgspec.json.encode(content)])


def refused(error: BaseException) -> Answer:
    """The response for an error: 400 for wrong input, the status of a `RequestError`, 503 without memory, otherwise 500."""
    headers = b""
    if isinstance(error, RequestError):
        status, text, headers = error.status, str(error), error.headers
    elif isinstance(error, MemoryError):
        status, text = 503, "out of memory: send fewer rows, or try again"
    elif isinstance(error, AaptvaeError):
        status, text = 400 if isinstance(error, InputError) else 500, str(error)
    else:
        status, text = 500, "the server failed to compute this request: its log on stderr has the error"
    if len(text) > _LONGEST:  # it quotes the request
        text = f"{text[:_LONGEST]} ..."
    answer = as_json({"error": text}, status)
    answer.headers = b"retry-after: %d\r\n" % RETRY_SECONDS if status == 503 else headers
    return answer
