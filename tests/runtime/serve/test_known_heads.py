"""A head that a connection has parsed is not parsed again; whatever comes, answers are those of the parser."""

import random
import shutil
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from serving import Served, request, serving
from test_connection import infer, post, read_all, statuses
from test_life import DIGITS

from aaptvae.serve.head import Head, KnownHeads

BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,5],"data":[1,2,3,4,5]}]}'


def heads(data: bytes, length: int = len(BODY)) -> KnownHeads:
    head, made = Head(), KnownHeads()
    head.length = length
    made.add(data, b"POST", b"/", head)
    return made


@pytest.mark.parametrize("body", [BODY, b"\r\n\r\n" * 19, b""])
def test_a_head_ends_at_the_first_empty_line(body: bytes) -> None:
    data = post(body)
    text = data[: len(data) - len(body)]
    known = heads(data, len(body))
    for other in (data, text + b"\r" * len(body)):
        found = known.find(other)
        assert found is not None and found.text == text
    for other in (data + b" ", text[:-1], data.replace(b"Host: a", b"Host: b"), b"\r\n" + data[:-2]):
        assert known.find(other) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + post(BODY),
        post(BODY) + b"\r\n",
        post(BODY).replace(b"\r\n", b"\n"),
        post(BODY).replace(b"\r\nHost", b"\nHost"),
        post(BODY, "X: a\rb"),
        post(BODY, "Transfer-Encoding: chunked").replace(BODY, b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
        post(BODY, "X: " + "a" * 2048),
        post(BODY) + post(BODY),
        post(BODY)[:-1],
        BODY,
    ],
)
def test_a_head_whose_end_is_in_doubt_is_not_remembered(data: bytes) -> None:
    assert heads(data).find(data) is None


def lasting(x: np.ndarray) -> list[bytes]:
    """Requests that leave the connection open, whose heads, bodies or sizes are partly equal."""
    made = [infer(x[row : row + 2]) for row in range(4)]
    for verb in ("embed", "score"):  # heads of equal sizes
        for row in range(2):
            body, size = request((), True, {"x": x[row : row + 2]})
            made.append(post(body, f"Inference-Header-Content-Length: {size}", path=f"/v2/models/tiny_{verb}/infer"))
    made += [one.replace(b"Host: a", b"Host:b ") for one in made[:2]]
    made += [one.replace(b"-Header-Content-Length: ", b"-Header-Content-Length: 0") for one in made[:2]]
    made += [post(BODY, path="/v2/models/tiny_embed/infer"), post(BODY[::-1], path="/v2/models/tiny_embed/infer")]
    made += [b"GET /v2/models/tiny_embed HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /v2/models/tiny_score HTTP/1.1\r\nHost: a\r\n\r\n"]
    return [*made, b"\r\n" + made[0], post(b"\r\n" * 40), post(b"\r\n" + BODY)]


def ending(x: np.ndarray) -> list[bytes]:
    """Requests after which the server closes the connection, or what is read next is in doubt."""
    made = [infer(x[:2]), infer(x[2:4])]
    made += [one.replace(b"Content-Length: 2", b"Content-Length: 1") for one in made]  # the sizes of body and JSON
    made += [one.replace(b"tiny_encoder", b"tiny_encodes") for one in made[:2]]
    made += [one.replace(b"Host: a", b"Hose: a") for one in made[:2]]
    return [*made, made[0] + b"\r\n", made[0] + made[1], made[0][:-1], post(BODY, "Connection: close")]


def read_answer(connection: socket.socket) -> bytes:
    """One answer; less if the server closes."""
    answer, size = b"", 1 << 20
    while len(answer) < size and (part := connection.recv(1 << 16)):
        answer += part
        head, found, _ = answer.partition(b"\r\n\r\n")
        if found:
            size = len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return answer


def answers(port: int, sent: Sequence[bytes], last: bytes, pieces: int) -> list[bytes]:
    """The answers to requests on one connection, each sent in so many pieces when the one before it is answered."""

    def send(data: bytes) -> None:
        step = -(-len(data) // pieces)
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])

    found = []
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in sent:
            send(data)
            found.append(read_answer(connection))
        send(last)
        connection.shutdown(socket.SHUT_WR)
        return [*found, read_all(connection)]


def test_answers_are_those_of_the_parser(server: Served, x: np.ndarray) -> None:
    """A request in pieces is parsed. In one piece, behind others of the same size, it gets the same answer."""
    rng = random.Random(0)  # noqa: S311
    for _ in range(60):
        sent, last = rng.choices(lasting(x), k=12), rng.choice(ending(x))
        assert answers(server.port, sent, last, 1) == answers(server.port, sent, last, 3)


def test_only_whole_requests_have_known_heads(server: Served, x: np.ndarray) -> None:
    inner = infer(x[:2])
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            connection.sendall(inner)
            assert statuses(read_answer(connection)) == [200]
        connection.sendall(post(b"", length=len(inner)))  # a body that is itself a request
        time.sleep(0.1)
        connection.sendall(inner)
        assert statuses(read_answer(connection)) == [400]
        for _ in range(2):
            connection.sendall(inner[:2])
            time.sleep(0.1)
            connection.sendall(inner[2:])
            assert statuses(read_answer(connection)) == [200]
        connection.sendall(inner[2:])
        assert b"this is not HTTP/1.1" in read_answer(connection)


def test_a_head_before_half_a_request_is_not_remembered(server: Served, x: np.ndarray) -> None:
    """A request without a body, and as many bytes of the next one as the body of that has: not the size of one request."""
    first, second = b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n", infer(x[:60])
    size = len(second) - second.index(b"\r\n\r\n") - 4
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(first + second[:size])
            assert b'{"name":"aaptvae"' in read_answer(connection)
            connection.sendall(second[size:])
            assert statuses(read_answer(connection)) == [200]


def test_each_head_that_expects_is_continued(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(post(b"{}", "Expect: 100-continue"))
            answer = b""
            while b'"error"' not in answer:
                answer += connection.recv(1 << 16)
            assert statuses(answer) == [100, 400]


def test_bodies_behind_known_heads_are_counted(server: Served, x: np.ndarray) -> None:
    with server.client() as client, socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for row in range(5):
            connection.sendall(infer(x[row : row + 1]))
            assert statuses(read_answer(connection)) == [200]
        assert "\naaptvae_held_bytes 0\n" in client.ask("GET", "/metrics")[2].decode()


def test_a_known_head_of_a_model_that_is_gone_is_refused(tiny: Path, tmp_path: Path, x: np.ndarray) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny, bundle)
    with serving(tmp_path, bundle) as server, socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(infer(x[:2]))
            assert statuses(read_answer(connection)) == [200]
        shutil.rmtree(bundle)
        shutil.copytree(DIGITS, bundle)
        server.process.send_signal(signal.SIGHUP)
        server.said("reloaded: ")
        connection.sendall(infer(x[:2]))
        answer = read_answer(connection)
        assert statuses(answer) == [404] and b"there is no model at /v2/models/tiny_encoder/infer" in answer
