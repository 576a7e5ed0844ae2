"""The runtime opens no socket, prints nothing and leaves no file: observed from outside, so that native code counts too."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORK = """
import sys, threading, time
from pathlib import Path
FDS = Path("/proc/self/fd")
def sockets():
    import contextlib, os
    found = set()
    for fd in FDS.iterdir() if FDS.is_dir() else ():
        with contextlib.suppress(OSError):
            found.add(os.readlink(fd))
    return {name for name in found if name.startswith("socket:")}
before, seen, done = sockets(), set(), threading.Event()
def watch():
    while not done.wait(0.001):
        seen.update(sockets() - before)
watcher = threading.Thread(target=watch)
watcher.start()
import numpy as np, aaptvae
vae = aaptvae.load(sys.argv[1], threads=2)
x = np.random.default_rng(0).standard_normal((5000, 5)).astype(np.float32)
vae.encode(x); vae.embed(x[:1]); vae.decode(x[:, :2]); vae.reconstruct(x); vae.sample(9, observation_noise=True)
vae.interpolate(x[:2], x[2:4]); vae.score(x[:9]); vae.log_likelihood(x[:9], 3)
time.sleep(0.1)
done.set()
watcher.join()
assert not seen, seen
"""


def home(tmp_path: Path) -> dict[str, str]:
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
    # The default of onnxruntime is to report; whether it does is what is tested, so nobody else may have switched it off.
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    return kept | dict.fromkeys(places, str(tmp_path)) | {"PYTHONDONTWRITEBYTECODE": "1"}


def test_no_socket_output_or_file_is_left(tiny: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", WORK, str(tiny.resolve())]
    done = subprocess.run(command, cwd=tmp_path, env=home(tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def traceable() -> bool:
    if not shutil.which("strace"):
        return False
    return not subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode


@pytest.mark.skipif(not traceable(), reason="needs strace and the right to use it")
def test_no_system_call_opens_network_or_output(tiny: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    code = "import sys, aaptvae; vae = aaptvae.load(sys.argv[1]); vae.reconstruct([[0.0] * 5]); vae.sample(3)"
    calls = "trace=%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"
    command = ["strace", "-f", "-qq", "-e", calls, "-o", log, sys.executable, "-c", code, tiny.resolve()]
    subprocess.run(command, cwd=tmp_path, env=home(tmp_path), check=True, capture_output=True)
    asked = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    assert any("encoder.onnx" in line for line in asked)
    assert [line for line in asked if re.match(r"(socket|connect|sendto|sendmsg|bind|mkdir|rename|unlink|creat)", line)] == []
    writing = [line for line in asked if re.search(r"O_(WRONLY|RDWR|CREAT)", line) and "/dev/" not in line]
    assert writing == []
