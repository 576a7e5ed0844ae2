"""Rate and latency of `aaptvae serve` on the digits bundle, with every answer compared with `embed` bit for bit.

    python tests/benchmarks/serving.py [SECONDS [BURSTS]]

The clients run in this process on uvloop; the server has one process, or as many as WORKERS says. The last line has the load
average of the machine. With TRITON, the folder of `make triton`, a tritonserver gets the same binary requests, in turns with
`aaptvae serve`. With ONE_CPU, all processes of each server stay on one CPU, and the clients on another.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvloop

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/runtime/serve"))
from serving import Client, request, results, serving  # noqa: E402
from tritonserver import triton_server  # noqa: E402

import aaptvae  # noqa: E402

CLIENTS = (1, 8, 64, 512)
WORKERS = os.environ.get("WORKERS", "1")
TRITON = Path(os.environ["TRITON"]).resolve() if "TRITON" in os.environ else None
DIGITS = ROOT / "artifacts/digits" if TRITON is None else TRITON / "bundle"


class Case(NamedTuple):
    """A request as bytes, and the answer that it must get: its JSON, or its binary tensors."""

    sent: bytes
    expected: bytes
    rows: int


def case(client: Client, vae: aaptvae.VAE, verb: str, rows: int, binary: bool) -> Case:
    """A request whose answer was compared with the Python API."""
    x = np.random.default_rng(rows).random((rows, 64)).astype(np.float32)
    names = {"encoder": ("mu",), "decoder": ("reconstruction",), "score": ("elbo",)}[verb]
    inputs, result = {
        "encoder": ({"x": x}, vae.embed),
        "decoder": ({"z": x[:, :16].copy()}, vae.decode),
        "score": ({"x": x}, lambda x: vae.score(x).elbo),
    }[verb]
    body, size = request(names, binary, inputs)
    status, headers, answer = client.send(f"digits_{verb}", body, size)
    assert status == 200 and np.array_equal(results(headers, answer)[0], result(*inputs.values()))
    head = f"POST /v2/models/digits_{verb}/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    head += "" if size is None else f"Inference-Header-Content-Length: {size}\r\n"
    return Case(head.encode() + b"\r\n" + body, answer[int(headers.get("inference-header-content-length", 0)) :], rows)


class Asking(asyncio.Protocol):
    """One client, which sends the next request when it has its answer."""

    def __init__(self, cases: Sequence[Case], number: int, until: float) -> None:
        self.cases, self.number, self.until = cases, number, until
        self.times: list[float] = []
        self.rows, self.wrong, self.parts = 0, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.case = self.cases[self.number % len(self.cases)]
        self.number += 7
        self.parts, self.size, self.start = b"", -1, time.perf_counter()
        self.transport.write(self.case.sent)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.parts = self.parts + data if self.parts else data
        if self.size < 0:
            head, found, _ = self.parts.partition(b"\r\n\r\n")
            if not found:
                return
            head = head.lower()
            length = head.index(b"\r\ncontent-length: ") + 18
            self.size = len(head) + 4 + int(head[length:].partition(b"\r\n")[0])
        if len(self.parts) < self.size:
            return
        now = time.perf_counter()
        self.times.append(now - self.start)
        self.rows += self.case.rows
        self.wrong += not self.parts.endswith(self.case.expected)
        if now < self.until:
            self.ask()


async def load(port: int, cases: Sequence[Case], clients: int, seconds: float) -> tuple[int, int, np.ndarray]:
    """Wrong answers, rows, and the time of each request."""
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    made = [await loop.create_connection(lambda n=n: Asking(cases, n, until), "127.0.0.1", port) for n in range(clients)]
    await asyncio.sleep(seconds + 0.3)
    for transport, _ in made:
        transport.close()
    askers = [asker for _, asker in made]
    return sum(a.wrong for a in askers), sum(a.rows for a in askers), np.concatenate([a.times for a in askers])


def bare(rows: int) -> float:
    """Rows/s of onnxruntime alone on one thread."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(DIGITS / "encoder.onnx"), options)
    x, best = np.random.default_rng(0).random((rows, 64)).astype(np.float32), 1e9
    for _ in range(2000):
        start = time.perf_counter()
        session.run(["mu"], {"x": x})
        best = min(best, time.perf_counter() - start)
    return rows / best


class Server(NamedTuple):
    """Where to ask, and whose CPU time to count."""

    port: int
    process: int


class Burst(NamedTuple):
    """Requests/s, rows/s, times [ms] at the middle and at the 99th percentile, and the server's CPU for one request [us]."""

    requests: float
    rows: float
    p50: float
    p99: float
    used: float


def burst(server: Server, cases: Sequence[Case], clients: int, seconds: float) -> Burst:
    """Load for some seconds, without one wrong answer."""
    before = quiet(server.process)
    wrong, rows, times = uvloop.run(load(server.port, cases, clients, seconds))
    assert not wrong, f"{wrong} answers differ from the Python API"
    if not len(times):  # a machine so busy that no answer came
        return Burst(0.0, 0.0, np.inf, np.inf, np.inf)
    used = (processor_time(server.process) - before) / len(times) * 1e6
    p50, p99 = (np.percentile(times, [50, 99]) * 1e3).tolist()
    return Burst(len(times) / seconds, rows / seconds, p50, p99, used)


def kinds_of(client: Client) -> dict[str, list[Case]]:
    """Requests by kind."""
    vae = aaptvae.load(DIGITS, threads=1)
    sizes = ((1, True), (1, False), (16, True), (64, True), (200, True), (64, False))
    return {
        "1 row, binary": [case(client, vae, "encoder", 1, True)],
        "64 rows, binary": [case(client, vae, "encoder", 64, True)],
        "64 rows, JSON": [case(client, vae, "encoder", 64, False)],
        "mixed": [case(client, vae, verb, *size) for verb in ("encoder", "decoder", "score") for size in sizes],
    }


def main() -> None:
    """Print the fastest of several bursts for each server, kind of request and number of clients; of the CPU, the least."""
    seconds, bursts = float((sys.argv[1:] or ["2"])[0]), int((sys.argv[2:] or ["3"])[0])
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        served = stack.enter_context(serving(folders[0], f"digits={DIGITS}", "--workers", WORKERS))
        kinds = kinds_of(stack.enter_context(served.client()))
        servers = {"aaptvae": Server(served.port, served.process.pid)}
        if TRITON is not None:
            address, process = stack.enter_context(triton_server(folders[1], TRITON))
            servers["Triton"] = Server(int(address.rpartition(":")[2]), process)
        if "ONE_CPU" in os.environ:
            ours, theirs = sorted(os.sched_getaffinity(0))[:2]
            os.sched_setaffinity(0, [ours])
            for server in servers.values():
                keep_on(theirs, server.process)
        print("| requests | clients | server | requests/s | rows/s | p50 ms | p99 ms | server's CPU us |\n|" + "---|" * 8)
        for kind, cases in kinds.items():
            asked = {name: server for name, server in servers.items() if name == "aaptvae" or kind.endswith("binary")}
            for clients in CLIENTS:
                turns = [[burst(server, cases, clients, seconds) for server in asked.values()] for _ in range(bursts)]
                for name, made in zip(asked, zip(*turns, strict=True), strict=True):
                    best, used = max(made), min(burst.used for burst in made)
                    rates = f"{best.requests:,.0f} | {best.rows:,.0f} | {best.p50:.2f} | {best.p99:.2f} | {used:.0f}"
                    print(f"| {kind} | {clients} | {name} | {rates} |", flush=True)
    print(
        f"\nbare onnxruntime, 64 rows, one thread, best of 2000: {bare(64):,.0f} rows/s; load average {os.getloadavg()[0]:.1f}"
    )


def processes_of(server: int) -> list[int]:
    """A process and all that it started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [server]
    for process in found:  # which grows
        found += [child for child, parent in parents.items() if parent == process]
    return found


def keep_on(cpu: int, server: int) -> None:
    """Keep all threads of a server on one CPU."""
    for process in processes_of(server):
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(thread.name), [cpu])


def quiet(server: int) -> float:
    """Seconds of CPU that a server used, when it has answered the last requests of clients that are gone."""
    used, before = processor_time(server), -1.0
    while used > before + 0.02:
        time.sleep(0.2)
        used, before = processor_time(server), used
    return used


def processor_time(server: int) -> float:
    """Seconds of CPU that the processes of a server used."""
    ticks = 0
    for process in processes_of(server):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
