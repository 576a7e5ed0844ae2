"""KServe's own client, with JSON and with binary tensors."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from serving import Served

import aaptvae

kserve = pytest.importorskip("kserve", reason="needs kserve: make servers")
httpx = pytest.importorskip("httpx", reason="needs kserve: make servers")


@pytest.fixture
def ask(server: Served) -> Callable[..., Any]:
    """Calls a method of the client with the server's address."""

    def ask(method: str, *arguments: object, **options: object) -> Any:
        async def call() -> Any:
            client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
            try:
                return await getattr(client, method)(f"http://127.0.0.1:{server.port}", *arguments, **options)
            finally:
                await client.close()

        return asyncio.run(call())

    return ask


def infer(ask: Callable[..., Any], model: str, binary: bool, **inputs: np.ndarray) -> list[np.ndarray]:
    tensors = []
    for name, array in inputs.items():
        tensor = kserve.InferInput(name, list(array.shape), {"f": "FP32", "i": "INT64"}[array.dtype.kind])
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    asked = kserve.InferRequest(model, tensors, request_id="7", parameters={"binary_data_output": binary})
    answer = ask("infer", asked, model_name=model)
    assert (answer.id, answer.model_name) == ("7", model)
    return [output.as_numpy() for output in answer.outputs]


def test_the_client_reads_health(ask: Callable[..., Any]) -> None:
    assert ask("is_server_live") and ask("is_server_ready") and ask("is_model_ready", "tiny_encoder")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("rows", [1, 64, 300])
def test_the_client_gets_the_numbers_of_the_python_api(
    ask: Callable[..., Any], vae: aaptvae.VAE, x: np.ndarray, rows: int, binary: bool
) -> None:
    mu, logvar = infer(ask, "tiny_encoder", binary, x=x[:rows])
    assert np.array_equal(mu, vae.embed(x[:rows])) and np.array_equal(logvar, vae.encode(x[:rows])[1])
    (reconstruction,) = infer(ask, "tiny_decoder", binary, z=mu)
    assert np.array_equal(reconstruction, vae.decode(mu))
    (drawn,) = infer(ask, "tiny_sample", binary, n=np.array([rows]), seed=np.array([3]))
    assert np.array_equal(drawn, vae.sample(rows, seed=3))


def test_the_client_raises_our_sentence(ask: Callable[..., Any]) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="x has 4 columns: this bundle takes 5") as caught:
        infer(ask, "tiny_encoder", True, x=np.zeros((1, 4), np.float32))
    assert caught.value.response.status_code == 400
