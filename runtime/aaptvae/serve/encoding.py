"""Request bodies that are compressed, as `Content-Encoding` says (RFC 9110, 8.4.1)."""

import zlib

from ..errors import InputError
from .answers import RequestError

_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}  # deflate is the format of zlib there


def encoding(value: bytes) -> bytes | None:
    """The encoding that a header names, None for no compression; `RequestError` 415 for one that is not spoken."""
    value = value.lower()
    if value in (b"", b"identity"):
        return None
    if value not in _WINDOW_BITS:
        shown = value[:20].decode("latin-1")
        raise RequestError(
            415,
            f"the request is compressed ({shown}): expected gzip, deflate or no encoding",
            b"accept-encoding: gzip, deflate\r\n",
        )
    return value


def decompressed(body: bytes | memoryview, encoded: bytes, limit: int) -> bytes:
    """The bytes that were compressed; `InputError` for others, `RequestError` 413 for more than `limit`."""
    name, decoder = encoded.decode(), zlib.decompressobj(_WINDOW_BITS[encoded])
    try:
        data = decoder.decompress(body, limit + 1)
    except zlib.error as error:
        raise InputError(f"the request is not compressed by {name} ({error}): check the client") from None
    if len(data) > limit:
        raise RequestError(413, f"the request has more than {limit} bytes without {name}: send fewer rows, or binary tensors")
    if not decoder.eof or decoder.unused_data:
        problem = "bytes behind its end" if decoder.eof else "no end"
        raise InputError(f"the request, compressed by {name}, has {problem}: expected one compressed body: check the client")
    return data
