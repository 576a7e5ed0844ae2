"""Triton's own client, with JSON and with binary tensors."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from serving import Served

import aaptvae

pytest.importorskip("geventhttpclient", reason="needs tritonclient[http]: make servers")
triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]: make servers")


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as made:
        yield made


def infer(
    client: Any, model: str, binary: bool, outputs: tuple[str, ...], compressed: str | None = None, **inputs: np.ndarray
) -> list[np.ndarray]:
    tensors = []
    for name, array in inputs.items():
        tensor = triton.InferInput(name, list(array.shape), {"f": "FP32", "i": "INT64"}[array.dtype.kind])
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in outputs]
    encodings = {"request_compression_algorithm": compressed, "response_compression_algorithm": compressed}
    answer = client.infer(model, tensors, outputs=wanted, request_id="7", **encodings)
    assert answer.get_response()["id"] == "7"
    return [answer.as_numpy(name) for name in outputs]


def test_the_client_reads_health_and_metadata(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("tiny_encoder") and client.is_model_ready("tiny_encoder", "1")
    assert not client.is_model_ready("tiny_encoder", "9")
    assert client.get_server_metadata()["name"] == "aaptvae"
    assert client.get_model_metadata("tiny_encoder")["outputs"][1] == {"name": "logvar", "datatype": "FP32", "shape": [-1, 2]}
    assert client.get_model_config("tiny_encoder", "2")["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [5]}]
    assert client.get_inference_statistics("tiny_encoder", "2")["model_stats"][0]["version"] == "2"
    assert {"name": "digits_encoder", "version": "1", "state": "READY", "reason": ""} in client.get_model_repository_index()


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("rows", [1, 64, 300])
def test_the_client_gets_the_numbers_of_the_python_api(
    client: Any, vae: aaptvae.VAE, x: np.ndarray, rows: int, binary: bool
) -> None:
    mu, logvar = infer(client, "tiny_encoder", binary, ("mu", "logvar"), x=x[:rows])
    assert np.array_equal(mu, vae.embed(x[:rows])) and np.array_equal(logvar, vae.encode(x[:rows])[1])
    assert np.array_equal(infer(client, "tiny_decoder", binary, ("reconstruction",), z=mu)[0], vae.decode(mu))
    drawn = infer(client, "tiny_sample", binary, ("sample",), n=np.array([rows]), seed=np.array([3]))[0]
    assert np.array_equal(drawn, vae.sample(rows, seed=3))


@pytest.mark.parametrize("compressed", ["gzip", "deflate"])
def test_the_client_may_compress(client: Any, vae: aaptvae.VAE, x: np.ndarray, compressed: str) -> None:
    for binary in (True, False):
        assert np.array_equal(infer(client, "tiny_embed", binary, ("mu",), compressed, x=x)[0], vae.embed(x))


def test_the_client_is_told_what_is_not_spoken(client: Any) -> None:
    tensor = triton.InferInput("x", [1, 5], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 5), np.float32))
    classes = triton.InferRequestedOutput("mu", class_count=2)
    shared = triton.InferRequestedOutput("mu")
    shared.set_shared_memory("region", 8)
    for wanted, sentence in ((classes, "this server gives no classes"), (shared, "this server shares no memory")):
        with pytest.raises(triton.InferenceServerException, match=sentence):
            client.infer("tiny_encoder", [tensor], outputs=[wanted])
    tensor.set_shared_memory("region", 20)
    with pytest.raises(triton.InferenceServerException, match="x has shared_memory_region"):
        client.infer("tiny_encoder", [tensor])


def test_the_client_raises_our_sentence(client: Any) -> None:
    with pytest.raises(triton.InferenceServerException, match="x has 4 columns: this bundle takes 5") as caught:
        infer(client, "tiny_encoder", True, ("mu",), x=np.zeros((1, 4), np.float32))
    assert caught.value.status() == "400"
    with pytest.raises(triton.InferenceServerException, match="there is no model at /v2/models/none/infer"):
        infer(client, "none", True, ("mu",), x=np.zeros((1, 4), np.float32))
