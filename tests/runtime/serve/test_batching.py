"""Requests that come together share calls of a model, and each gets what it would get alone."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from serving import Served, request, results
from test_connection import post, split

import aaptvae
from aaptvae.serve import batching
from aaptvae.serve.answers import Answer
from aaptvae.serve.batching import Batcher, ModelRequest
from aaptvae.serve.models import models_of
from aaptvae.serve.tensors import read_request

Make = Callable[..., ModelRequest]


@pytest.fixture
def make(vae: aaptvae.VAE) -> Make:
    """Requests to the tiny bundle."""
    models = {model.name.removeprefix("tiny_"): model for model in models_of(vae, "tiny", "1")}

    def made(verb: str, *outputs: str, binary: bool = True, parameters: Any = None, **inputs: np.ndarray) -> ModelRequest:
        body, size = request(outputs, binary, inputs, parameters)
        asked, model = read_request(body, size, 1 << 20), models[verb]
        return ModelRequest(model, asked, model.rows(asked.inputs), model.wanted(tuple(asked.outputs)))

    return made


def outcomes(sent: Sequence[ModelRequest], *, cancelled: Sequence[int] = ()) -> list[Answer | BaseException]:
    """What each gets that comes in one turn, after a turn in which several came."""

    async def main() -> list[Answer | BaseException]:
        batcher = Batcher()
        for _ in range(2):
            batcher.answer(sent[0])
        await asyncio.sleep(0)
        found = [batcher.answer(one) for one in sent]
        for future in [found[number] for number in cancelled]:
            assert isinstance(future, asyncio.Future)
            future.cancel()
        waiting = [one for one in found if not isinstance(one, Answer)]
        settled = iter(await asyncio.gather(*waiting, return_exceptions=True))
        return [one if isinstance(one, Answer) else next(settled) for one in found]

    return asyncio.run(asyncio.wait_for(main(), 20))


def body(answer: Answer | BaseException) -> bytes:
    assert isinstance(answer, Answer), answer
    return answer.packed(keep_alive=True)


def executions(found: Sequence[Answer | BaseException]) -> list[int]:
    return [one.executions for one in found if isinstance(one, Answer)]


@pytest.mark.parametrize("verb", ["encoder", "decoder", "embed", "reconstruct", "score"])
def test_answers_are_those_of_requests_alone(make: Make, x: np.ndarray, verb: str) -> None:
    rows = np.random.default_rng(0).standard_normal((300, 2)).astype(np.float32) if verb == "decoder" else x
    name = "z" if verb == "decoder" else "x"
    sizes = (0, 1, 3, 64, 0, 17)
    sent = [make(verb, **{name: rows[size : 2 * size]}) for size in sizes]
    found = outcomes(sent)
    assert [body(one) for one in found] == [body(one.answer()) for one in sent]
    assert executions(found) == [1, 0, 0, 0, 0, 0]


def test_only_requests_for_the_same_share_a_call(make: Make, x: np.ndarray) -> None:
    one = np.array([1])
    sent = [
        make("encoder", "mu", x=x[:2]),
        make("encoder", "mu", "logvar", x=x[2:4]),
        make("embed", "mu", x=x[4:6]),
        make("encoder", "mu", x=x[6:8].astype(np.float64)),
        make("sample", n=one, seed=one, first=one),
        make("sample", n=one, seed=one + 1, first=one),
        make("encoder", "mu", x=x[8:10]),
        make("encoder", "mu", binary=False, x=x[10:12]),
    ]
    found = outcomes(sent)
    assert [body(one) for one in found] == [body(one.answer()) for one in sent]
    assert executions(found) == [1, 1, 1, 1, 1, 1, 0, 0]


def test_one_wrong_request_is_refused_alone(make: Make, x: np.ndarray, overflowing: np.ndarray) -> None:
    wrong = x[:3].copy()
    wrong[1, 2] = np.nan
    sent = [make("embed", "mu", x=rows) for rows in (x[:2], wrong, x[2:5], overflowing[None])]
    found = outcomes(sent)
    assert [body(found[place]) for place in (0, 2)] == [body(sent[place].answer()) for place in (0, 2)]
    assert "x has nan at row 1, column 2" in str(found[1])
    assert "x row 0 is too large for the model" in str(found[3])
    assert all(isinstance(found[place], aaptvae.InputError) for place in (1, 3))
    with pytest.raises(aaptvae.InputError, match="x has 4 columns"):  # at once: it can share no call
        outcomes([*sent[:1], make("embed", x=x[:1, :4])])


def test_conditions_go_with_their_rows(conditional: aaptvae.VAE, given_rows: dict[str, Any]) -> None:
    encoder = next(iter(models_of(conditional, "given", "1")))
    x = np.stack([given_rows[f"f{index}"] for index in range(5)], axis=1)
    c = np.random.default_rng(2).integers(0, 2, (300, encoder.inputs[1].shape[1])).astype(np.float32)
    sent: list[ModelRequest] = []
    for rows, conditions in ((x[:2], c[:2]), (x[2:7], c[2:7]), (x[7:9], c[7:8]), (x[9:11], c[9:11])):
        asked = read_request(*request(("mu",), True, {"x": rows, "c": conditions}), 1 << 20)
        sent.append(ModelRequest(encoder, asked, len(rows), encoder.wanted(("mu",))))
    found = outcomes(sent)
    assert [body(one) for one in found] == [body(one.answer()) for one in sent]
    assert executions(found) == [1, 0, 1, 0]  # one condition for two rows is computed alone


def test_nothing_is_computed_for_a_client_that_left(make: Make, x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[ModelRequest] = []
    together = batching._together

    def noted(some: Sequence[ModelRequest]) -> Iterator[Answer]:
        computed.extend(some)
        return together(some)

    monkeypatch.setattr(batching, "_together", noted)
    sent = [make("embed", "mu", x=x[rows : rows + 2]) for rows in range(4)]
    found = outcomes(sent, cancelled=[0, 2])
    assert computed[-2:] == [sent[1], sent[3]]
    assert [isinstance(one, asyncio.CancelledError) for one in found] == [True, False, True, False]


def test_no_kind_waits_for_ever_behind_another(make: Make, x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that ask again at once do not delay a request for something else."""
    often, other = make("embed", "mu", x=x[:2]), make("score", x=x[:2])
    monkeypatch.setattr(batching, "SMALL_WORK", 2 * often.work)
    monkeypatch.setattr(batching, "_TURN_WORK", 2 * often.work)

    async def main() -> int:
        batcher, answered = Batcher(), 0

        def ask() -> None:
            future = batcher.answer(often)
            assert isinstance(future, asyncio.Future)
            future.add_done_callback(again)

        def again(_: object) -> None:
            nonlocal answered
            answered += 1
            if answered < 300:
                ask()

        for _ in range(2):
            batcher.answer(often)
        await asyncio.sleep(0)
        for _ in range(5):
            ask()
        waited = batcher.answer(other)
        assert isinstance(waited, asyncio.Future)
        await waited
        return answered

    assert asyncio.run(asyncio.wait_for(main(), 20)) < 12


def test_a_lone_request_is_answered_at_once(make: Make, x: np.ndarray) -> None:
    async def main() -> None:
        batcher = Batcher()
        for _ in range(3):
            assert isinstance(batcher.answer(make("embed", x=x[:2])), Answer)
            await asyncio.sleep(0)

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system has no SIGSTOP")
def test_the_server_counts_calls_that_requests_share(server: Served, vae: aaptvae.VAE, x: np.ndarray) -> None:
    """A server that slept finds the requests of ten clients."""
    with server.client() as client:
        before = client.json("/v2/models/named_embed/stats")["model_stats"][0]
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(10)]
    for _ in range(2):  # the first round shows that requests come together
        with server.client() as client:  # when it is answered, the server waits for requests
            client.json("/v2")
        server.process.send_signal(signal.SIGSTOP)
        try:
            for number, connection in enumerate(clients):
                sent, size = request(("mu",), True, {"x": x[number : number + 3]})
                header = f"Inference-Header-Content-Length: {size}"
                connection.sendall(post(sent, header, path="/v2/models/named_embed/infer"))
        finally:
            server.process.send_signal(signal.SIGCONT)
        for number, connection in enumerate(clients):
            ((headers, answer),) = split(connection.recv(1 << 16))
            assert np.array_equal(results(headers, answer)[0], vae.embed(x[number : number + 3]))
    for connection in clients:
        connection.close()
    with server.client() as client:
        after = client.json("/v2/models/named_embed/stats")["model_stats"][0]
        metrics = client.ask("GET", "/metrics")[2].decode()
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 20
    assert 10 < after["execution_count"] - before["execution_count"] < 20
    assert f'aaptvae_executions_total{{model="named_embed",version="1"}} {after["execution_count"]}' in metrics
