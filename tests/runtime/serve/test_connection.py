"""HTTP on raw sockets: order of answers, limits, slow and hostile clients."""

import json
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from serving import Served, request, results, serving

import aaptvae

TOKEN = "a-token-for-tests"  # noqa: S105
FUZZED = 100_000 if "SERVERS" in os.environ else 1_500  # requests


@pytest.fixture(scope="module")
def strict(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with low limits and a token."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "token").write_text(TOKEN + "\n")
    options = ("--timeout", 1, "--queue", 0, "--threads", 1, "--max-body", 1, "--connections", 6)
    with serving(folder, tiny, "--token-file", folder / "token", *options) as made:
        yield made


def post(body: bytes, *headers: str, path: str = "/v2/models/tiny_encoder/infer", length: int | None = None) -> bytes:
    """The bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def infer(x: np.ndarray) -> bytes:
    """A request for `mu` in binary."""
    body, size = request(("mu",), True, {"x": x})
    return post(body, f"Inference-Header-Content-Length: {size}")


def large() -> bytes:
    """A request that a thread computes."""
    body, size = request(("elbo",), True, {"x": np.zeros((4500, 64), np.float32)})
    return post(body, f"Inference-Header-Content-Length: {size}", path="/v2/models/digits_score/infer")


def send(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send the parts, then read until the server closes or nothing comes for 3 s."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while data := connection.recv(1 << 20):
            answer += data
    except (TimeoutError, ConnectionResetError):
        pass
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


def split(answer: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Headers and body of each answer."""
    found = []
    while answer:
        head, _, answer = answer.partition(b"\r\n\r\n")
        headers = dict(line.decode().lower().split(": ", 1) for line in head.split(b"\r\n")[1:])
        size = int(headers["content-length"])
        found.append((headers, answer[:size]))
        answer = answer[size:]
    return found


CLOSE = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_pipelined_requests_are_answered_in_order(server: Served, vae: aaptvae.VAE, x: np.ndarray) -> None:
    """Also behind one that a thread computes."""
    sizes = [3, 1, 64, 5, 2]
    answer = send(server.port, large() + b"".join(infer(x[:size]) for size in sizes) + CLOSE)
    assert statuses(answer) == [200] * 7
    for size, (headers, body) in zip(sizes, split(answer)[1:-1], strict=True):
        assert np.array_equal(results(headers, body)[0], vae.embed(x[:size]))


def test_a_request_in_single_bytes_is_answered(server: Served, vae: aaptvae.VAE, x: np.ndarray) -> None:
    whole = infer(x[:2])
    headers, body = split(send(server.port, *[whole[i : i + 1] for i in range(len(whole))], CLOSE))[0]
    assert np.array_equal(results(headers, body)[0], vae.embed(x[:2]))


def test_a_client_that_stops_sending_gets_its_answer(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(large())
        connection.shutdown(socket.SHUT_WR)
        assert statuses(read_all(connection)) == [200]


def test_chunked_bodies_are_answered(server: Served, vae: aaptvae.VAE, x: np.ndarray) -> None:
    body, size = request(("mu",), True, {"x": x[:9]})
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:50], body[50:]))
    head = "POST /v2/models/tiny_encoder/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    head += f"Inference-Header-Content-Length: {size}\r\n\r\n"
    headers, answer = split(send(server.port, head.encode() + chunks + b"0\r\n\r\n" + CLOSE))[0]
    assert np.array_equal(results(headers, answer)[0], vae.embed(x[:9]))


def test_expect_continue_is_answered(server: Served, x: np.ndarray) -> None:
    body, size = request(("mu",), True, {"x": x})
    head = post(b"", f"Inference-Header-Content-Length: {size}", "Expect: 100-continue", length=len(body))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_an_upgrade_is_ignored(server: Served) -> None:
    """Java's client asks for HTTP/2 with its first request."""
    head = (
        b"GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAE\r\n\r\n"
    )
    assert statuses(send(server.port, head)) == [200]


def test_a_body_over_the_limit_is_refused_unread(strict: Served) -> None:
    """1 GB announced, or 2 MB in chunks: answered at once, and the connection is closed."""
    token = f"Authorization: Bearer {TOKEN}"
    answer = send(strict.port, post(b"x" * 1000, token, length=1 << 30))
    assert statuses(answer) == [413] and b"expected 1048576 at most" in answer
    head = f"POST /v2/models/tiny_encoder/infer HTTP/1.1\r\nHost: a\r\n{token}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert statuses(send(strict.port, head + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 20)) == [413]


def test_the_token_is_checked_except_for_health(strict: Served) -> None:
    for value, status in (("Bearer wrong", 401), (TOKEN, 401), (f"Basic {TOKEN}", 401), (f"bearer  {TOKEN}", 400)):
        assert statuses(send(strict.port, post(b"{}", f"Authorization: {value}") + CLOSE))[:1] == [status]
    assert statuses(send(strict.port, post(b"{}") + CLOSE)) == [401]
    assert statuses(send(strict.port, post(b"{}", f"Authorization: Bearer {TOKEN}") + CLOSE))[:1] == [400]
    assert statuses(send(strict.port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")) == [401]
    assert statuses(send(strict.port, CLOSE)) == [200]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600, 400),  # TLS
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /" + b"a" * 400_000, 431),
        (b"GET /v2 HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 100_000, 431),
        (post(b"{}", "Content-Encoding: br"), 415),
        (post(b"{}", "Inference-Header-Content-Length: 9" + "9" * 5000) + CLOSE, 400),
    ],
)
def test_what_is_not_http_is_refused(server: Served, data: bytes, status: int) -> None:
    assert statuses(send(server.port, *(data[i : i + 65536] for i in range(0, len(data), 65536))))[:1] == [status]


def test_slow_senders_are_cut_off(strict: Served) -> None:
    """Headers or a body that trickle; a silent connection is closed without an answer."""
    start = time.monotonic()
    head, body = post(b"", f"Authorization: Bearer {TOKEN}", length=1000), [b"x"] * 40
    with ThreadPoolExecutor(3) as pool:
        asked = [
            pool.submit(send, strict.port, *parts, pause=0.1) for parts in ([bytes([b]) for b in CLOSE[:40]], [head, *body])
        ]
        silent = pool.submit(send, strict.port)
        answers = [statuses_or_closed(one) for one in asked]
        assert silent.result() == b""
    assert answers == [[408], [408]]
    assert time.monotonic() - start < 60


def statuses_or_closed(one: object) -> list[int]:
    """Statuses of an answer, also where sending failed because the server had closed."""
    try:
        return statuses(one.result())  # type: ignore[attr-defined]
    except (BrokenPipeError, ConnectionResetError):
        return [408]


def test_too_many_connections_are_turned_away(strict: Served) -> None:
    held = [socket.create_connection(("127.0.0.1", strict.port), timeout=3) for _ in range(6)]
    try:
        time.sleep(0.2)
        answer = send(strict.port, CLOSE)
        assert statuses(answer) == [503] and b"retry-after: 1\r\n" in answer
    finally:
        for connection in held:
            connection.close()


def test_a_full_queue_answers_503(strict: Served, x: np.ndarray) -> None:
    """One thread, no place to wait: of requests at the same time, some are refused, and none is lost."""
    body, size = request(("elbo",), True, {"x": np.tile(x, (130, 1))})
    asked = post(body, f"Inference-Header-Content-Length: {size}", f"Authorization: Bearer {TOKEN}", "Connection: close")
    asked = asked.replace(b"tiny_encoder", b"tiny_score")
    for _ in range(20):
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: send(strict.port, asked), range(4)))
        found = sorted(status for answer in answers for status in statuses(answer))
        assert len(found) == 4 and set(found) <= {200, 503}
        if 503 in found:
            break
    assert found[0] == 200 and found[-1] == 503
    assert all(b"retry-after: 1\r\n" in answer for answer in answers if statuses(answer) == [503])


def resident(process: int) -> int:
    """Bytes of memory that a process uses."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ask_again(connection: socket.socket, whole: bytes, answer: int, times: int) -> None:
    """Send a request many times, 50 at once, and read the answers of `answer` bytes."""
    for _ in range(times // 50):
        connection.sendall(whole * 50)
        left = answer * 50
        while left:
            left -= len(connection.recv(left))


@pytest.mark.skipif("SERVERS" not in os.environ, reason="a million requests: make servers")
def test_memory_does_not_grow_with_requests(server: Served, x: np.ndarray) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        whole = infer(x[:1])
        connection.sendall(whole)
        size = len(connection.recv(1 << 16))
        ask_again(connection, whole, size, 50_000)
        before = resident(server.process.pid)
        ask_again(connection, whole, size, 1_000_000)
        assert resident(server.process.pid) < before + (8 << 20)


def mutated(rng: random.Random, whole: bytes) -> bytes:
    """A request with bytes changed, cut out, repeated or left out at its end."""
    data = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 8])):
        place = rng.randrange(len(data))
        kind = rng.randrange(4)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:
            del data[place : place + rng.randrange(1, 9)]
        elif kind == 2:
            data[place:place] = data[place : place + rng.randrange(1, 40)]
        else:
            number = rng.choice([b"-1", b"1e999", b"18446744073709551616", b"null", b"{}", b"[[]]", b"NaN", b'"\xed\xa0\x80"'])
            data[place : place + rng.randrange(4)] = number
    return bytes(data[: rng.randrange(len(data))]) if rng.random() < 0.1 else bytes(data)


def test_mutated_requests_never_end_the_server(server: Served, vae: aaptvae.VAE, x: np.ndarray) -> None:
    """Every answer has a status below 500, and the log shows no traceback."""
    rng = random.Random(0)  # noqa: S311
    seeded = {"n": np.array([3]), "seed": np.array([5]), "first": np.array([1 << 40])}
    wholes = [infer(x[:2])]
    for model, binary, inputs in (
        ("tiny_embed", False, {"x": x[:1]}),
        ("tiny_sample", False, seeded),
        ("tiny_sample", True, seeded),
    ):
        body, size = request((), binary, inputs, {"temperature": 1.0} if model == "tiny_sample" else None)
        headers = [] if size is None else [f"Inference-Header-Content-Length: {size}"]
        wholes.append(post(body, *headers, path=f"/v2/models/{model}/infer"))
    before, found = server.log.read_text(), Counter[int]()
    for _ in range(FUZZED):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(mutated(rng, rng.choice(wholes)))
            connection.shutdown(socket.SHUT_WR)
            answer = read_all(connection)
        assert all(status < 500 for status in statuses(answer)), answer
        found.update(statuses(answer) or [0])
    assert server.log.read_text() == before
    assert found.keys() >= {200, 400, 404}, found
    headers, body = split(send(server.port, infer(x) + CLOSE))[0]
    assert np.array_equal(results(headers, body)[0], vae.embed(x))


def test_errors_are_json(server: Served) -> None:
    headers, body = split(send(server.port, post(b"{}") + CLOSE))[0]
    assert headers["content-type"] == "application/json" and json.loads(body)["error"]
