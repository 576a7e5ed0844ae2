"""One client against `aaptvae serve` and against a real tritonserver, on what `aaptvae export --triton` wrote: the same bits.

TRITON is the folder that `make triton` makes: an environment with nvidia-pytriton, beside `bundle` and `models`.
TRITON_BACKENDS is a folder with another backend `onnxruntime`, such as NVIDIA's own.
"""

import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import serving
from test_tritonclient import infer

import aaptvae

triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]: make servers")
if "TRITON" not in os.environ:
    pytest.skip("needs a tritonserver: make triton", allow_module_level=True)

HOME = Path(os.environ["TRITON"]).resolve()
ROWS = (1, 2, 7, 64, 300, 4096)


def make_backends(package: Path, folder: Path) -> Path:
    """Triton's Python backend, and the one of triton_backend.py in the place of NVIDIA's for ONNX Runtime."""
    if "TRITON_BACKENDS" in os.environ:
        return Path(os.environ["TRITON_BACKENDS"])
    shutil.copytree(package / "backends/python", folder / "python")
    version = package.parents[2].name.removeprefix("python")
    shutil.copy(package / f"python_backend_stubs/{version}/triton_python_backend_stub", folder / "python")
    (folder / "onnxruntime").mkdir()
    shutil.copy(Path(__file__).with_name("triton_backend.py"), folder / "onnxruntime/model.py")
    return folder


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_ready(address: str) -> bool:
    with triton.InferenceServerClient(address) as client, suppress(ConnectionRefusedError):
        return bool(client.is_server_ready())
    return False


@contextmanager
def triton_server(folder: Path) -> Iterator[str]:
    """The address of a tritonserver on the exported folder."""
    (package,) = HOME.glob("lib/python*/site-packages/pytriton/tritonserver")
    libraries = [str(sysconfig.get_config_var("LIBDIR")), str(package.parents[1] / "nvidia_pytriton.libs")]
    environment = os.environ | {
        "PATH": f"{HOME / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
    }
    port, log = free_port(), folder / "log.txt"
    options = f"--http-address=127.0.0.1 --http-port={port} --allow-grpc=0 --allow-metrics=0".split()
    places = [f"--model-repository={HOME / 'models'}", f"--backend-directory={make_backends(package, folder)}"]
    command = [package / "bin/tritonserver", *places, *options]
    with log.open("w") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            until = time.monotonic() + 120
            while not is_ready(f"127.0.0.1:{port}"):
                assert process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Both servers on the same bundle."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, f"digits={HOME / 'bundle'}") as served, triton_server(tmp_path_factory.mktemp("triton")) as address:
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
