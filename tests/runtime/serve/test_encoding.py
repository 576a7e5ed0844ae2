"""Compressed requests, as Triton's client sends them with `request_compression_algorithm`."""

import gzip
import json
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from serving import Client, request, results

import aaptvae

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("rows", [1, 300])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("encoding", COMPRESS)
def test_compressed_requests_are_answered(
    client: Client, vae: aaptvae.VAE, x: np.ndarray, rows: int, binary: bool, encoding: str
) -> None:
    body, size = request(("mu",), binary, {"x": x[:rows]})
    headers = {"Content-Encoding": encoding} | ({} if size is None else {"Inference-Header-Content-Length": str(size)})
    status, found, answer = client.ask("POST", "/v2/models/tiny_encoder/infer", COMPRESS[encoding](body), **headers)
    assert status == 200 and "content-encoding" not in found
    assert np.array_equal(results(found, answer)[0], vae.embed(x[:rows]))


GZIP = gzip.compress(request(("mu",), False, {"x": np.zeros((1, 5), np.float32)})[0])


@pytest.mark.parametrize(
    ("body", "encoding", "status", "sentence"),
    [
        (b"{}", "gzip", 400, "the request is not compressed by gzip ("),
        (GZIP, "deflate", 400, "the request is not compressed by deflate ("),
        (GZIP[:-1], "gzip", 400, "compressed by gzip, has no end: expected one compressed body"),
        (GZIP + GZIP, "gzip", 400, "compressed by gzip, has bytes behind its end"),
        (b"", "gzip", 400, "has no end"),
        (gzip.compress(bytes((4 << 20) + 1)), "gzip", 413, "more than 4194304 bytes without gzip: send fewer rows"),
        (gzip.compress(bytes(4 << 20)), "gzip", 400, "is not JSON"),
        (GZIP, "gzip, gzip", 415, "the request is compressed (gzip, gzip): expected gzip, deflate or no encoding"),
        (GZIP, "GZIP", 200, "mu"),
        (gzip.decompress(GZIP), "identity", 200, "mu"),
        (gzip.decompress(GZIP), "", 200, "mu"),
    ],
)
def test_wrongly_compressed_requests_are_refused(
    client: Client, body: bytes, encoding: str, status: int, sentence: str
) -> None:
    """The limit of bodies holds for the bytes that come out."""
    found, _, answer = client.ask("POST", "/v2/models/tiny_encoder/infer", body, **{"Content-Encoding": encoding})
    assert found == status
    assert sentence in (json.loads(answer)["error"] if status != 200 else answer.decode())
