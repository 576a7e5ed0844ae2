"""Requests as proxies, old clients and attackers write them: a status below 500, our sentence, and the right end."""

import json
import re
import socket
import time

import numpy as np
import pytest
from serving import Client, Served, request, results
from test_connection import CLOSE, infer, large, post, read_all, send, split, statuses

import aaptvae

GET = b"GET /v2/health/live HTTP/1.1\r\n"
HOST = b"Host: a\r\n"


def whole(**fields: str) -> bytes:
    """A request of one row of the tiny bundle as JSON, with fields of its tensor replaced or added."""
    made = {"name": '"x"', "datatype": '"FP32"', "shape": "[1, 5]", "data": "[0, 0, 0, 0, 0]"} | fields
    return b'{"inputs": [{%s}]}' % ", ".join(f'"{key}": {value}' for key, value in made.items()).encode()


ROW = whole()
BINARY = '{"binary_data_size": %s}'


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (whole(data="[NaN, 0, 0, 0, 0]"), "is not JSON of the inference protocol V2"),
        (whole(data="[-Infinity, 0, 0, 0, 0]"), "is not JSON of the inference protocol V2"),
        (whole(data="[1e999, 0, 0, 0, 0]"), "Number out of range"),
        (whole(data="[1%s, 0, 0, 0, 0]" % ("0" * 5000)), "Number out of range"),
        (whole(data="[" * 100_000 + "]" * 100_000), "recursion"),
        (whole(parameters='{"a": %s}' % ('{"a":' * 100_000)), "recursion"),
        (whole(shape="[9223372036854775808, 0]", data="[]"), "x has shape [9223372036854775808, 0]: expected 1099511627776"),
        (whole(shape="[0, 9223372036854775807]", data="[]"), "x has shape [0, 9223372036854775807]: expected 1099511627776"),
        (whole(shape="[0, 9223372036854775807]", parameters=BINARY % 0, data="[]"), "expected 1099511627776 values"),
        (whole(shape="[4294967296, 4294967296]"), "expected 1099511627776 values"),
        (whole(shape="[1.0, 5]"), "Expected `int`, got `float`"),
        (whole(shape="[1, 5, 1]"), "x has shape (1, 5, 1): expected two dimensions [N, 5]"),
        (whole(parameters=BINARY % 20), "x has data and binary_data_size: expected one of them"),
        (whole(name='"\\ud800"'), "is not JSON of the inference protocol V2"),
        (ROW.replace(b'"shape"', b'"data": [1, 1, 1, 1, 1], "shape"'), "a key occurs twice in an object with name, datatype"),
        (ROW.replace(b'"shape"', b'"sh\\u0061pe": [5, 1], "shape"'), "a key occurs twice"),
        (ROW[:-1] + b', "inputs": []}', "a key occurs twice in an object with inputs"),
        (ROW[:-1] + b', "parameters": {"a": 1, "a": 1}}', "a key occurs twice in an object with a"),
        (ROW + ROW, "trailing characters"),
        (b"\xef\xbb\xbf" + ROW, "is not JSON of the inference protocol V2"),
        (ROW.decode().encode("utf-16"), "is not JSON of the inference protocol V2"),
        (b"null", "Expected `object`, got `null`"),
    ],
)
def test_hostile_bodies_are_refused_with_a_sentence(client: Client, server: Served, body: bytes, sentence: str) -> None:
    log = server.log.read_text()
    assert sentence in client.refused(400, "tiny_embed", body)
    assert client.send("tiny_embed", ROW)[0] == 200  # on the same connection
    assert server.log.read_text() == log


def test_a_wrong_seed_is_shown(client: Client) -> None:
    assert b"seed is -1, int64 of shape [1]: expected one integer from 0 up" in client.send("tiny_sample", whole_sample(-1))[2]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"data": "[[0, 0, 0, 0, 0]]"}, 200),
        ({"data": "[[0, 0], [0, 0, 0]]"}, 400),
        ({"data": "[[0, 0, 0, 0, null]]"}, 400),
        ({"data": "[0, 0, [0], 0, 0]"}, 400),
        ({"data": "[1e999, 0, 0, 0, 0]"}, 400),
        ({"data": "[]"}, 400),
        ({"data": "null"}, 400),
        ({"data": "[[]]", "shape": "[0, 5]"}, 400),
        ({"datatype": '"INT64"', "data": "[9007199254740993, 0, 0, 0, 0]"}, 200),
        ({"datatype": '"INT64"', "data": "[0.5, 0, 0, 0, 0]"}, 400),
        ({"datatype": '"FP16"'}, 200),
    ],
)
def test_long_requests_mean_what_short_ones_do(client: Client, fields: dict[str, str], status: int) -> None:
    """Numbers of long ones are decoded with the rest of the request."""
    short = whole(**fields)
    found = client.send("tiny_embed", short)[::2]
    assert found[0] == status
    assert client.send("tiny_embed", short[:-1] + b" " * 5000 + b"}")[::2] == found


def test_integers_of_long_requests_are_exact(client: Client) -> None:
    seeds = [
        client.send("tiny_sample", whole_sample(seed) + b" " * pad)[2] for seed in ((1 << 53) + 1, 1 << 53) for pad in (0, 5000)
    ]
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]


def whole_sample(seed: int) -> bytes:
    """A request of one sample."""
    return b'{"inputs": [%s]}' % b", ".join(
        b'{"name": "%s", "datatype": "INT64", "shape": [1], "data": [%d]}' % pair for pair in ((b"n", 1), (b"seed", seed))
    )


def test_huge_options_are_refused_with_a_sentence(client: Client) -> None:
    seeded = {"n": np.array([1]), "seed": np.array([1])}
    for value in (10**400, -(10**400), {"a": {}}, [1], None, "1", "1" * 100_000):
        sentence = client.refused(400, "tiny_sample", *request((), True, seeded, {"temperature": value}))
        assert "temperature is" in sentence and len(sentence) < 5000, (value, sentence)


def test_absent_empty_and_null_fields_mean_the_same(client: Client) -> None:
    found = set()
    for more in ("", ', "outputs": [], "parameters": {}', ', "outputs": null, "parameters": null, "id": null', ', "other": 1'):
        status, _, body = client.send("tiny_embed", ROW[:-1] + more.encode() + b"}")
        found.add((status, body))
    assert len(found) == 1 and found.pop()[0] == 200


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (GET + b"\r\n", 400, "the request has 0 Host headers: expected one"),
        (GET + HOST + HOST + b"\r\n", 400, "the request has 2 Host headers: expected one"),
        (GET.replace(b"1.1", b"2.0") + HOST + b"\r\n", 400, "the request is HTTP/2.0: expected HTTP/1.1"),
        (b"GET /v2/health/live\r\n\r\n", 400, "the request is HTTP/0.9: expected HTTP/1.1"),
        (GET + HOST + b"X: a\r\n b\r\n\r\n", 400, "this is not HTTP/1.1"),
        (GET + HOST + b"X: a\x00b\r\n\r\n", 400, "this is not HTTP/1.1"),
        (post(ROW, "Content-Length: 3"), 400, "Duplicate Content-Length"),
        (post(ROW, "Transfer-Encoding: chunked"), 400, "Transfer-Encoding"),
        (post(b"", length=1 << 63), 413, "expected 4194304 at most"),
        (post(b"", length=1 << 64), 400, "Content-Length overflow"),
        (post(ROW, "Content-Encoding: br"), 415, "the request is compressed (br): expected gzip, deflate or no encoding"),
        (
            b"POST /v2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            415,
            "the transfer encoding gzip, chunked",
        ),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + CLOSE, 404, "there is nothing at a:80"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, "there is nothing at *"),
        (post(ROW[:20], length=len(ROW)), 400, "the request ended after 20 bytes of its body: expected all of it"),
        (post(ROW)[:60], 400, "the request ended within its headers: expected all of it"),
    ],
)
def test_a_wrong_head_ends_the_connection(server: Served, data: bytes, status: int, sentence: str) -> None:
    """One answer, `Connection: close`, and the end, with nothing after it answered."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    ((headers, body),) = split(answer)
    assert statuses(answer) == [status] and headers["connection"] == "close"
    assert sentence in json.loads(body)["error"]


def test_proxies_and_old_clients_are_answered(server: Served) -> None:
    for data, closes in (
        (b"GET http://a:80/v2/health/live?x HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (b"\r\n\r\n" + GET + HOST + b"\r\n", False),
        (GET.replace(b"1.1", b"1.0") + b"\r\n", True),
        (GET.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\n\r\n", True),
        (GET + HOST + b"Connection: close\r\n\r\n\r\n" + CLOSE, True),
    ):
        answer = send(server.port, data) if closes else send(server.port, data + CLOSE)
        found = split(answer)
        assert statuses(answer) == [200] * (1 if closes else 2)
        assert found[-1][0]["connection"] == "close" and json.loads(found[0][1]) == {"live": True}


def test_a_refused_head_request_has_no_body(server: Served) -> None:
    answer = send(server.port, b"HEAD /v2/none HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(answer) == [404] and answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("wrong", [b"\x00\x01\x02\r\n\r\n", post(b"{}", "Content-Encoding: br"), post(b"x", length=1 << 40)])
def test_a_wrong_request_waits_for_those_before_it(server: Served, vae: aaptvae.VAE, x: np.ndarray, wrong: bytes) -> None:
    """A thread computes the first; what follows the wrong one is not answered."""
    answer = send(server.port, large() + infer(x[:3]) + wrong + CLOSE)
    assert statuses(answer)[:2] == [200, 200] and len(statuses(answer)) == 3 and statuses(answer)[2] in (400, 413, 415)
    assert np.array_equal(results(*split(answer)[1])[0], vae.embed(x[:3]))


def test_requests_behind_an_upgrade_are_dropped(server: Served) -> None:
    """Also two thousand of them behind one that a thread computes."""
    upgrade = GET + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    log = server.log.read_text()
    assert statuses(send(server.port, large() + upgrade * 2000)) == [200, 200]
    assert server.log.read_text() == log


def test_a_refused_sender_sees_the_answer_while_it_sends(server: Served) -> None:
    """The rest of a large body is read and dropped, so that no reset destroys the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(post(b"", length=5 << 20))
        time.sleep(0.05)
        for _ in range(80):
            connection.sendall(bytes(1 << 16))
        connection.shutdown(socket.SHUT_WR)
        assert re.match(rb"HTTP/1.1 413 ", read_all(connection))
