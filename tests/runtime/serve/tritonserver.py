"""A real tritonserver for tests, on what `aaptvae export --triton` wrote.

TRITON is the folder that `make triton` makes: an environment with nvidia-pytriton, beside `bundle` and `models`.
TRITON_BACKENDS is a folder with another backend `onnxruntime`, such as NVIDIA's own.
"""

import os
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    try:
        with urllib.request.urlopen(f"http://{address}/v2/health/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def triton_server(folder: Path, home: Path) -> Iterator[tuple[str, int]]:
    """Address and process of a tritonserver on the exported folder in `home`; its log and backends are in `folder`."""
    (package,) = home.glob("lib/python*/site-packages/pytriton/tritonserver")
    libraries = [str(sysconfig.get_config_var("LIBDIR")), str(package.parents[1] / "nvidia_pytriton.libs")]
    environment = os.environ | {
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
    }
    port, log = free_port(), folder / "log.txt"
    options = f"--http-address=127.0.0.1 --http-port={port} --allow-grpc=0 --allow-metrics=0".split()
    places = [f"--model-repository={home / 'models'}", f"--backend-directory={make_backends(package, folder)}"]
    command = [package / "bin/tritonserver", *places, *options]
    with log.open("w") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            until = time.monotonic() + 120
            while not is_ready(f"127.0.0.1:{port}"):
                assert process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield f"127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
