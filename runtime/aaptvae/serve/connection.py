"""One HTTP/1.1 connection, parsed by httptools (llhttp, the parser of Node.js), with limits on sizes and times.

Written on asyncio's protocol interface because a web framework takes two thirds of the time of a small request
(docs/negative-results.md).
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import httptools

from .answers import Answer, RequestError, as_json, refused
from .head import Head, KnownHeads
from .routes import Request

if TYPE_CHECKING:
    from .server import Worker

_HEAD_LIMIT = 1 << 16  # bytes of the request line and all headers
_LINGER = 2.0  # seconds in which the rest of a refused request is read and dropped, so that its answer arrives


class Connection(asyncio.Protocol):
    """Requests of one client, answered in their order."""

    def __init__(self, worker: "Worker") -> None:
        self._worker, self._limits = worker, worker.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._ready = deque[tuple[Request, bool]]()  # complete requests behind the one that is computed
        self._later: asyncio.Future[Answer] | None = None
        self._refusal: tuple[bytes, bool] | None = None  # sent after the answers to the requests before it
        self._full = self._closing = self._ended = False  # the client does not read; nothing more is answered or sent
        self._last = False  # nothing more is taken from the client
        self._known = KnownHeads()
        self.held = 0  # bytes of bodies that arrived and are not answered
        self.since = worker.now()  # of the connection, or of the last answer
        self.deadline = self.since + self._limits.arrival
        self._reset()

    def _reset(self) -> None:
        self.arriving, self._head_done, self._keep, self._head, self._path = False, False, True, Head(), b""
        self._parts: list[bytes] = []
        self._bytes = self._received = 0

    @property
    def idle(self) -> bool:
        """Whether no request is arriving, computed or being sent."""
        return not (self.arriving or self._later or self._ready or self._full)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the worker, which closes connections whose deadline is over."""
        self._transport = transport  # type: ignore[assignment]
        self._worker.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; a request that waits for a thread is dropped."""
        self._closing = self._last = True
        self._worker.connections.discard(self)
        self._hold(-self.held)
        if self._later is not None:
            self._later.cancel()

    def eof_received(self) -> bool:
        """The client sends no more: it still gets the answers to its complete requests, and one that is cut off its refusal."""
        if self.arriving:
            where = f"after {self._bytes} bytes of its body" if self._head_done else "within its headers"
            self._refuse(RequestError(400, f"the request ended {where}: expected all of it"))
        self._ended = not self._closing and (self._later is not None or bool(self._ready))
        return self._ended

    def data_received(self, data: bytes) -> None:
        """Parse, and answer every complete request."""
        if self._last or self._take_known(data):
            return
        whole = not self.arriving
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # no other protocol is spoken here: the request itself was answered
            return
        except httptools.HttpParserCallbackError:
            raise  # a defect of this module: the loop closes the connection and shows it
        except httptools.HttpParserError as error:
            self._refuse(RequestError(400, f"this is not HTTP/1.1 ({error}): check the client"))
            return
        overhead = self._received - self._bytes if self.arriving else 0
        if overhead > _HEAD_LIMIT + 16 * self._bytes:  # long headers, or chunks of a byte with long extensions
            self._refuse(RequestError(431, f"the request has more than {_HEAD_LIMIT} bytes of headers: expected fewer"))
        if whole and not self.arriving:
            self._known.add(data, self._parser.get_method(), self._path, self._head)

    def _take_known(self, data: bytes) -> bool:
        """Take a request whose head was admitted before, without the parser, unless its body is to be refused."""
        known = self._known.find(data)
        if known is None or self.arriving or self._worker.held + known.head.length > self._limits.buffered:
            return False
        self._head, self._path = known.head, known.path
        self._hold(known.head.length)
        self._take(known.method, memoryview(data)[len(known.text) :], keep=True)
        return True

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._last:
            return
        self._reset()
        self.arriving = True
        self.deadline = self._worker.now() + self._limits.arrival

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        self._head.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; a trailer is ignored."""
        if self._head_done or self._last:
            return
        try:
            self._head.add(name, value)
        except RequestError as error:
            self._refuse(error)

    def on_headers_complete(self) -> None:
        """Refuse what need not be read."""
        if self._last:
            return
        version, method = self._parser.get_http_version(), self._parser.get_method()
        self._head_done = True
        self._keep = version == "1.1" and self._parser.should_keep_alive() and not self._parser.should_upgrade()
        try:
            self._path = self._head.path(version)
            self._worker.routes.admit(method, self._path, self._head.authorization)
            self._check_size(self._head.length)
        except RequestError as error:
            self._refuse(error, wait=self._head.length > 0, body=method != b"HEAD")
            return
        if self._head.expects:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._last:
            return
        self._parts.append(data)
        self._bytes += len(data)
        self._hold(len(data))
        try:
            self._check_size(self._bytes)
        except RequestError as error:
            self._refuse(error)

    def on_message_complete(self) -> None:
        """Answer the request, now or after those before it."""
        if self._last:
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self.arriving, self._parts, self._received, self._last = False, [], 0, not self._keep
        self._take(self._parser.get_method(), body, self._keep)

    # Answers.

    def _take(self, method: bytes, body: bytes | memoryview, keep: bool) -> None:
        request = Request(method, self._path, self._head.json_size, body, self._head.encoding)
        if self._later is None and not self._full:
            self._handle(request, keep)
        else:
            self._ready.append((request, keep))
            self._transport.pause_reading()

    def _check_size(self, size: int) -> None:
        if size > self._limits.body:
            raise RequestError(
                413, f"the request has {size} bytes or more: expected {self._limits.body} at most: send fewer rows"
            )
        if self._worker.held + size - self._bytes > self._limits.buffered:
            raise RequestError(
                503, f"requests of {self._limits.buffered} bytes are in progress: expected less: try again later"
            )

    def _handle(self, request: Request, keep: bool) -> None:
        self._worker.polling.found()
        try:
            answer = self._worker.routes.answer(request)
        except Exception as error:  # of any kind: one request must not end the others
            self._answer(request, self._worker.explain(error), keep)
            return
        if isinstance(answer, Answer):
            self._answer(request, answer, keep)
        else:
            self._later = answer
            answer.add_done_callback(lambda done: self._finished(request, keep, done))

    def _finished(self, request: Request, keep: bool, done: "asyncio.Future[Answer]") -> None:
        self._later = None
        if done.cancelled() or self._closing:
            self._worker.count(request, 499)
            return
        error = done.exception()
        self._answer(request, done.result() if error is None else self._worker.explain(error), keep)
        self._next()

    def _next(self) -> None:
        """Answer the requests that wait behind an answered one."""
        while self._ready and self._later is None and not self._full and not self._closing:
            self._handle(*self._ready.popleft())
        if self._ready or self._later is not None or self._closing:
            return
        if self._refusal is not None:
            self._send_refusal(*self._refusal)
        elif self._ended:
            self.close()
        else:
            self._transport.resume_reading()

    def _answer(self, request: Request, answer: Answer, keep: bool) -> None:
        keep = keep and not self._worker.draining
        self._transport.write(answer.packed(keep, request.method != b"HEAD"))  # first: the client waits for it
        self._worker.polling.answered()
        self._worker.count(request, answer.status, answer.rows, answer.executions)
        self._hold(-len(request.body))
        self.since = self._worker.now()
        self.deadline = self.since + (self._limits.arrival if self._full else self._limits.idle)
        if not keep:
            self.close()

    def _refuse(self, error: RequestError, wait: bool = True, body: bool = True) -> None:
        """Answer a request that is not read to its end, after those before it, and close."""
        if self._last:
            return
        self._worker.count(Request(b"", b"", None), error.status)
        self._last, self.arriving, self._parts = True, False, []
        self._refusal = refused(error).packed(keep_alive=False, body=body), wait
        if self._later is None and not self._ready:
            self._send_refusal(*self._refusal)

    def _send_refusal(self, answer: bytes, wait: bool) -> None:
        self._transport.write(answer)
        if not wait or self._ended:
            self.close()
            return
        self._closing = True
        self.deadline = self._worker.now() + _LINGER
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _hold(self, size: int) -> None:
        self.held += size
        self._worker.held += size

    def close(self) -> None:
        """Close after everything was sent."""
        self._closing, self._last, self.deadline = True, True, self._worker.now() + self._limits.arrival
        self._transport.close()

    def expire(self) -> None:
        """End a connection whose deadline is over."""
        if self._later is not None:
            return  # threads have a deadline of their own
        if self.arriving and not self._closing:
            seconds = self._limits.arrival
            answer = as_json({"error": f"the request did not arrive within {seconds:g} s: send it faster or in parts"}, 408)
            self._worker.count(Request(b"", b"", None), 408)
            self._transport.write(answer.packed(keep_alive=False))
        if self._full or self._closing:
            self._transport.abort()
        self.close()

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets no further ones until it does."""
        self._full = True
        self.deadline = self._worker.now() + self._limits.arrival
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has read its answers."""
        self._full = False
        self._next()
