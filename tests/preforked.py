"""Commands forked from a process that has imported the command line already: `start` and `run`, as those of `subprocess`.

A command has pipes, a process id and an exit status of its own and ends as Python ends; only the imports are behind it, which
take ten times as long as most commands. Elsewhere than on Linux each command imports for itself.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

VERB = "from aaptvae.cli import main; main()"

# The inner fork leaves the loop and runs the command at the end of the script; the outer one waits for it.
SERVER = """
import contextlib, json, os, socket, sys
import aaptvae.cli.app, aaptvae.cli.job.job, aaptvae.cli.verbs_rows, aaptvae.engine, aaptvae.vae
aaptvae.engine.onnxruntime()
server = socket.socket(fileno=int(sys.argv[1]))
while True:
    message, descriptors, _, _ = socket.recv_fds(server, 1 << 20, 4)
    if not message:
        os._exit(0)
    if os.fork():
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        continue
    *streams, status = descriptors
    if command := os.fork():
        for descriptor in (*streams, server.fileno()):
            os.close(descriptor)
        os.write(status, b"%d\\n" % command)
        os.write(status, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))
        os._exit(0)
    break
for number, descriptor in enumerate(streams):
    os.dup2(descriptor, number)
for descriptor in (*streams, status, server.detach()):
    os.close(descriptor)
sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
given = json.loads(message)
os.chdir(given["folder"])
sys.argv = ["-c", *given["arguments"]]
exec(compile(given["code"], "<string>", "exec"))
"""


@functools.cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


class Command:
    """What `subprocess.Popen` offers of a running command; streams are pipes of bytes."""

    def __init__(self, code: str, arguments: list[str], folder: str, stdin: bool) -> None:
        theirs, ours = zip(*(os.pipe(), os.pipe()[::-1], os.pipe()[::-1], os.pipe()[::-1]), strict=True)
        if not stdin:
            os.close(theirs[0])
            theirs = (os.open(os.devnull, os.O_RDONLY), *theirs[1:])
        message = json.dumps({"code": code, "arguments": arguments, "folder": folder}).encode()
        socket.send_fds(_server(), [message], list(theirs))
        for descriptor in theirs:
            os.close(descriptor)
        self.stdin: IO[bytes] | None = os.fdopen(ours[0], "wb", buffering=0)
        if not stdin:
            self.stdin.close()
            self.stdin = None
        self.stdout, self.stderr = os.fdopen(ours[1], "rb"), os.fdopen(ours[2], "rb")
        self._status = os.fdopen(ours[3], "rb", buffering=0)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, once there is one."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._status.readline())
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; `TimeoutExpired` if there is none within the seconds."""
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("the command", timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, data: bytes = b"") -> tuple[bytes, bytes]:
        """Write to stdin, and read the others until the command ends."""
        threads = [threading.Thread(target=self._feed, args=(data,))] if self.stdin else []
        said: list[bytes] = []
        threads.append(threading.Thread(target=lambda: said.append(self.stderr.read())))
        for thread in threads:
            thread.start()
        out = self.stdout.read()
        for thread in threads:
            thread.join()
        self.wait()
        return out, said[0]

    def _feed(self, data: bytes) -> None:
        assert self.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.stdin as stream:
            rest = memoryview(data)
            while rest:
                rest = rest[stream.write(rest) :]

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()
        self._status.close()


def start(code: str, *arguments: object, stdin: bool = False, cwd: Path | None = None) -> Any:
    """`code` with these arguments in a process of its own, whose stdin is a pipe or empty."""
    words = [str(argument) for argument in arguments]
    if sys.platform == "linux":
        return Command(code, words, str(cwd or Path.cwd()), stdin)
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        bufsize=0 if stdin else -1,
    )


def run(*arguments: object, cwd: Path | None = None, data: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    """The verb `aaptvae` with these arguments, until it ends."""
    with start(VERB, *arguments, stdin=data is not None, cwd=cwd) as job:
        out, err = job.communicate(*([] if data is None else [data]))
    return subprocess.CompletedProcess(list(arguments), job.returncode, out, err)
