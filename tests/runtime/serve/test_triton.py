"""One client against `aaptvae serve` and a real tritonserver, on what `aaptvae export --triton` wrote: the same bits."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import serving
from test_tritonclient import infer
from tritonserver import triton_server

import aaptvae

triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]: make servers")
if "TRITON" not in os.environ:
    pytest.skip("needs a tritonserver: make triton", allow_module_level=True)

HOME = Path(os.environ["TRITON"]).resolve()
ROWS = (1, 2, 7, 64, 300, 4096)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Both servers on the same bundle."""
    folder = tmp_path_factory.mktemp("server")
    other = tmp_path_factory.mktemp("triton")
    with serving(folder, f"digits={HOME / 'bundle'}") as served, triton_server(other, HOME) as (address, _):
        yield {"aaptvae": f"127.0.0.1:{served.port}", "triton": address}


@pytest.fixture(params=["aaptvae", "triton"])
def client(addresses: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Any]:
    """Triton's client, connected to one of the servers."""
    with triton.InferenceServerClient(addresses[request.param]) as made:
        assert made.get_server_metadata()["name"] == request.param
        yield made


@pytest.fixture(scope="module")
def digits() -> aaptvae.VAE:
    return aaptvae.load(HOME / "bundle")


def test_both_servers_have_the_same_tensors(addresses: dict[str, str]) -> None:
    found = []
    for address in addresses.values():
        with triton.InferenceServerClient(address) as client:
            described = [client.get_model_metadata(model) for model in ("digits_encoder", "digits_decoder")]
        found.append([{key: one[key] for key in ("name", "versions", "inputs", "outputs")} for one in described])
    assert found[0] == found[1]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("rows", ROWS)
def test_the_client_gets_the_bits_of_the_python_api(client: Any, digits: aaptvae.VAE, rows: int, binary: bool) -> None:
    x = np.random.default_rng(rows).random((rows, 64), np.float32) * 16
    mu, logvar = digits.encode(x)
    found = infer(client, "digits_encoder", binary, ("mu", "logvar"), x=x)
    assert np.array_equal(found[0], mu) and np.array_equal(found[1], logvar)
    assert np.array_equal(infer(client, "digits_decoder", binary, ("reconstruction",), z=mu)[0], digits.decode(mu))


@pytest.mark.parametrize("name", ["aaptvae", "triton"])
def test_clients_at_the_same_time_get_their_own_rows(addresses: dict[str, str], digits: aaptvae.VAE, name: str) -> None:
    """Triton makes batches of several requests."""
    x = np.random.default_rng(0).random((300, 64), np.float32) * 16
    mu = digits.embed(x)

    def ask(thread: int) -> bool:
        with triton.InferenceServerClient(addresses[name]) as client:
            for number in range(thread, 240, 8):
                rows = slice(number, number + (1, 8, 60)[number % 3])
                found = infer(client, "digits_encoder", number % 2 == 0, ("mu",), x=x[rows])[0]
                if not np.array_equal(found, mu[rows]):
                    return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
