"""A server process for tests, and a client of the inference protocol on plain sockets."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("httptools", reason="needs httptools and uvloop")
pytest.importorskip("uvloop", reason="needs httptools and uvloop")

CODE = "from aaptvae.cli import main; main()"
DTYPES = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}


class Served:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", self.said(" at http://"))[1])

    def said(self, text: str, count: int = 1) -> str:
        """The log, when `text` is in it this many times."""
        for _ in range(2000):
            log = self.log.read_text()
            if log.count(text) >= count:
                return log
            assert self.process.poll() is None, log
            time.sleep(0.01)
        raise AssertionError(f"{text!r} is not in: {log}")

    def client(self, **headers: str) -> "Client":
        return Client(self.port, headers)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def serving(folder: Path, *arguments: object, files: int | None = None) -> Iterator[Served]:
    """`aaptvae serve` on a free port, in a process that may open so many files."""
    log = folder / "log.txt"
    command = [sys.executable, "-W", "error", "-c", CODE, "serve", "--port", "0", *map(str, arguments)]
    if files is not None:
        command = ["sh", "-c", f'ulimit -Sn {files} && ulimit -Hn {files} && exec "$@"', "sh", *command]
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, text=True) as process:
        try:
            yield Served(process, log)
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()


class Client:
    """One connection that sends requests one after another."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = headers or {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one answer."""
        self.connection.request(method, path, body, self.headers | headers)
        answer = self.connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()

    def json(self, path: str) -> Any:
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def send(self, model: str, body: bytes, json_size: int | None = None) -> tuple[int, dict[str, str], bytes]:
        """The answer to a request for inference."""
        headers = {} if json_size is None else {"Inference-Header-Content-Length": str(json_size)}
        return self.ask("POST", f"/v2/models/{model}/infer", body, **headers)

    def infer(self, model: str, *outputs: str, binary: bool = True, parameters: Any = None, **inputs: Any) -> list[Any]:
        """Results of a model as arrays."""
        status, headers, body = self.send(model, *request(outputs, binary, inputs, parameters))
        assert status == 200, body
        return results(headers, body)

    def refused(self, status: int, model: str, body: bytes, json_size: int | None = None) -> str:
        """The sentence of a refusal."""
        found, _, answer = self.send(model, body, json_size)
        assert found == status, answer
        return json.loads(answer)["error"]


def request(outputs: Any, binary: bool, inputs: dict[str, Any], parameters: Any = None) -> tuple[bytes, int | None]:
    """Body and size of its JSON (None without binary data)."""
    tensors, raw = [], []
    for name, value in inputs.items():
        array = np.asarray(value)
        datatype = next(key for key, dtype in DTYPES.items() if array.dtype == dtype)
        tensor = {"name": name, "shape": array.shape, "datatype": datatype}
        if binary:
            raw.append(array.tobytes())
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = array.tolist()
        tensors.append(tensor)
    wanted = [{"name": name, "parameters": {"binary_data": binary}} for name in outputs]
    options = (parameters or {}) | ({} if wanted else {"binary_data_output": binary})
    head = json.dumps({"inputs": tensors, "outputs": wanted, "parameters": options}).encode()
    return b"".join([head, *raw]), len(head) if binary else None


def results(headers: dict[str, str], body: bytes) -> list[np.ndarray]:
    """Arrays of an answer."""
    size = int(headers.get("inference-header-content-length", len(body)))
    arrays, offset = [], size
    for output in json.loads(body[:size])["outputs"]:
        dtype = np.dtype(DTYPES[output["datatype"]])
        if "data" in output:
            array = np.array(output["data"], dtype)
        else:
            array = np.frombuffer(body, dtype, int(np.prod(output["shape"])), offset)
            offset += array.nbytes
            assert array.nbytes == output["parameters"]["binary_data_size"]
        arrays.append(array.reshape(output["shape"]))
    assert offset == len(body)
    return arrays
