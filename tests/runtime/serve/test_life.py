"""A server under load: reload, SIGTERM, a killed worker; and starts that fail."""

import hashlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from serving import CODE, Client, Served, serving
from test_connection import read_all, statuses

import aaptvae
from aaptvae.bundle.manifest import FileEntry, encode_manifest
from aaptvae.bundle.reading import read_manifest
from aaptvae.serve.listening import refuse_new

CLIENTS = 6
DIGITS = Path(__file__).parents[3] / "artifacts/digits"
LOST = (http.client.HTTPException, ConnectionError)  # a request without an answer


class Load:
    """Clients that send requests of several sizes all the time, and check each answer bit for bit."""

    def __init__(self, port: int, x: np.ndarray, expected: np.ndarray) -> None:
        self._port, self._x, self._expected = port, x, expected
        self.answered, self.lost, self.refused = 0, list[str](), 0
        self.last = 0.0  # time of the last answer
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def _run(self, number: int) -> None:
        rng = np.random.default_rng(number)
        while not self._stop.is_set():
            try:
                with Client(self._port) as client:
                    client.connection.connect()
                    self._ask(client, rng)
            except ConnectionRefusedError:  # no request was sent
                self.refused += 1
                time.sleep(0.01)
            except LOST as error:
                self.lost.append(repr(error))

    def _ask(self, client: Client, rng: np.random.Generator) -> None:
        while not self._stop.is_set() and client.connection.sock is not None:  # None: the server closes after an answer
            rows = int(rng.choice([1, 8, 64, 300]))
            found = client.infer("tiny_encoder", "mu", binary=bool(rng.integers(2)), x=self._x[:rows])[0]
            assert np.array_equal(found, self._expected[:rows])
            with self._lock:
                self.answered, self.last = self.answered + 1, time.monotonic()

    def wait(self, more: int) -> None:
        """Until this many further answers came."""
        goal, until = self.answered + more, time.monotonic() + 60
        while self.answered < goal:
            assert time.monotonic() < until, (self.answered, self.lost)
            time.sleep(0.005)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()


@pytest.fixture
def load(vae: aaptvae.VAE, x: np.ndarray) -> Callable[[Served], Load]:
    return lambda server: Load(server.port, x, vae.embed(x))


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_sigterm_under_load_loses_no_request(tiny: Path, tmp_path: Path, load: Callable[[Served], Load], workers: int) -> None:
    with serving(tmp_path, tiny, "--workers", workers, "--drain", 0.3) as server, load(server).running() as clients:
        clients.wait(100)
        assert server.stop() == 0
        assert clients.lost == []
    assert "error" not in server.log.read_text()


def replace(folder: Path, source: Path) -> None:
    """Another bundle in the same place, by renames, as deployments do."""
    shutil.copytree(source, folder.with_name("new"))
    folder.rename(folder.with_name("old"))
    folder.with_name("new").rename(folder)
    shutil.rmtree(folder.with_name("old"))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_reload_serves_the_new_bundle_and_keeps_the_old_beside_a_bad_one(
    tiny: Path, named: Path, tmp_path: Path, load: Callable[[Served], Load], workers: int
) -> None:
    """`named` computes the same numbers under another digest; no request fails meanwhile."""
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny, bundle)
    digest = aaptvae.load(named).digest
    with serving(tmp_path, f"tiny={bundle}", "--workers", workers) as server, load(server).running() as clients:
        clients.wait(20)
        replace(bundle, named)
        server.process.send_signal(signal.SIGHUP)
        server.said(f"reloaded: tiny 1 {digest[:12]}", workers)
        clients.wait(20)
        (bundle / "encoder.onnx").write_bytes(b"damaged")
        server.process.send_signal(signal.SIGHUP)
        log = server.said("not reloaded, the bundles in memory stay: encoder.onnx is not the file", workers)
        clients.wait(20)
        assert clients.lost == [] and log.count("reloaded: tiny") == workers
        with server.client() as client:
            metrics = client.ask("GET", "/metrics")[2].decode()
        assert digest in metrics and 'aaptvae_reloads_total{outcome="failed"}' in metrics


def children(process: int) -> list[int]:
    """Processes that this one started."""
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [1, 2])
def test_killed_workers_are_replaced_and_lose_only_their_requests(
    tiny: Path, tmp_path: Path, load: Callable[[Served], Load], killed: int
) -> None:
    """Of two workers; with both killed, connections wait until one is back."""
    with serving(tmp_path, tiny, "--workers", 2) as server, load(server).running() as clients:
        clients.wait(50)
        before = children(server.process.pid)
        for worker in before[:killed]:
            os.kill(worker, signal.SIGKILL)
        server.said("ended with status -9: another is started", killed)
        clients.wait(50)
        while len(now := children(server.process.pid)) < 2:
            time.sleep(0.01)
        assert len(set(now) - set(before)) == killed and len(clients.lost) <= CLIENTS
        counted: list[str] = []
        while not counted:  # a new worker may not have answered any request yet
            clients.wait(50)
            with server.client() as client:
                counted = re.findall(
                    r'requests_total{model="tiny_encoder".*status="200"} (\d+)', client.ask("GET", "/metrics")[2].decode()
                )
        assert int(counted[0]) > 0


def with_another_prior(bundle: Path, target: Path) -> Path:
    """A copy of a bundle that is complete, but whose prior has another width: it cannot be loaded."""
    shutil.copytree(bundle, target)
    data = (DIGITS / "prior.npz").read_bytes()
    (target / "prior.npz").write_bytes(data)
    manifest = read_manifest((bundle / "manifest.json").read_bytes())
    changed = FileEntry("prior.npz", len(data), hashlib.sha256(data).hexdigest())
    files = tuple(changed if file.name == "prior.npz" else file for file in manifest.files)
    (target / "manifest.json").write_bytes(encode_manifest(msgspec.structs.replace(manifest, files=files)))
    return target


@pytest.mark.slow
def test_a_new_worker_loads_bundles_that_the_others_could_load(
    tiny: Path, named: Path, tmp_path: Path, x: np.ndarray, vae: aaptvae.VAE
) -> None:
    """After a reload that all workers refused, one that dies is replaced by one with the bundles in memory."""
    bundle, digest = tmp_path / "bundle", aaptvae.load(named).digest
    shutil.copytree(tiny, bundle)
    with serving(tmp_path, f"tiny={bundle}", "--workers", 2) as server:
        replace(bundle, named)
        server.process.send_signal(signal.SIGHUP)
        server.said("reloaded: tiny 1", 2)
        replace(bundle, with_another_prior(tiny, tmp_path / "wrong"))
        server.process.send_signal(signal.SIGHUP)
        server.said("not reloaded, the bundles in memory stay: prior.npz", 2)
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)
        server.said("another is started", 2)
        with server.client() as client:
            assert np.array_equal(client.infer("tiny_embed", x=x[:3])[0], vae.embed(x[:3]))
            assert digest in client.ask("GET", "/metrics")[2].decode()
        assert "ended with status 3" not in server.log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has filters of sockets")
def test_a_refused_filter_of_the_socket_is_no_error() -> None:
    """Some kernels let only root set one, and a server in a container then failed at SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, 44, 1)  # SO_LOCK_FILTER: the kernel refuses any change with EPERM
        refuse_new(listener)
        socket.create_connection(listener.getsockname(), timeout=3).close()


@pytest.mark.slow
def test_workers_end_with_their_parent(tiny: Path, tmp_path: Path) -> None:
    with serving(tmp_path, tiny, "--workers", 2) as server:
        workers = children(server.process.pid)
        server.process.kill()
        server.process.wait()
        until = time.monotonic() + 30
        while any(Path(f"/proc/{worker}/stat").exists() for worker in workers):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_connections_leave_descriptors_for_a_reload(tiny: Path, tmp_path: Path) -> None:
    """Without one, a new connection would wait until an idle one is closed, and a reload would fail."""
    with serving(tmp_path, tiny, files=72) as server:
        assert "warning: 8 connections for each worker instead of 2048" in server.log.read_text()
        held = [socket.create_connection(("127.0.0.1", server.port), timeout=3) for _ in range(20)]
        try:
            assert statuses(read_all(held[-1])) == [503]
            server.process.send_signal(signal.SIGHUP)
            server.said("reloaded: tiny 1")
        finally:
            for connection in held:
                connection.close()


def test_a_worker_that_is_stopped_while_it_starts_ends(tiny: Path) -> None:
    """The first fails at once; the signal meets the second before it has handlers of its own."""
    slow = "import os, time; forks = []; "
    slow += "os.register_at_fork(before=lambda: forks.append(1), after_in_child=lambda: time.sleep(2 * len(forks) - 2)); "
    command = [sys.executable, "-W", "error", "-c", slow + CODE, "serve", tiny, "--port", "0", "--precision", "fp16"]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, check=False, timeout=60)
    errors = done.stderr.splitlines()
    assert done.returncode == 1 and errors[-1] == "error: a worker could not start: its error is above"
    assert len(errors) == 2 and errors[0].startswith("error: precision is 'fp16'")


def test_a_server_that_cannot_start_says_why(tiny: Path, named: Path, tmp_path: Path) -> None:
    """One line and exit status 1, or 2 for a wrong option."""
    shutil.copytree(tiny, tmp_path / "bad")
    (tmp_path / "bad" / "decoder.onnx").write_bytes(b"")
    (tmp_path / "short").write_text("secret")
    for arguments, line in (
        ([tmp_path / "bad"], "error: decoder.onnx is not the file the manifest describes"),
        (
            [tiny, named],
            f"error: {named} is tiny, version 1, as is another bundle: expected different ones: write tiny:2={named}",
        ),
        (
            ["new:0=tiny"],
            "error: new:0=tiny is no NAME=BUNDLE: expected a name of letters, digits, . _ and -, and a version from",
        ),
        ([tiny, "--host", "192.0.2.1"], "error: cannot listen at 192.0.2.1"),
        ([tiny, "--token-file", tmp_path / "short"], "a token of 6 bytes: expected 16 or more"),
        ([tiny, "--timeout", "nan"], "--timeout': nan is not a finite number of seconds"),
        ([tiny, "--drain", "inf"], "--drain': inf is not a finite number of seconds"),
        ([tiny, "--precision", "fp16", "--workers", 2], "error: a worker could not start: its error is above"),
    ):
        command = [sys.executable, "-W", "error", "-c", CODE, "serve", "--port", "0", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (2 if "finite" in line else 1, "")
        assert line in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
