"""`aaptvae explore` as people run it: it says its address, serves the page, and ends with an interrupt."""

import http.client
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from preforked import run

TINY = Path(__file__).parents[1] / "tiny"
OLD = Path(__file__).parents[2] / "fixtures/schema1"  # with a finished run and an interrupted one


def explore(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "aaptvae", "explore", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent")
def test_a_page_is_served_until_an_interrupt() -> None:
    with explore(str(TINY), "--no-open") as child:
        assert child.stderr is not None
        lines = iter(child.stderr.readline, "")
        host = next(found[1] for line in lines if (found := re.search(r"tiny is at http://(\S+)/ until", line)))
        connection = http.client.HTTPConnection(host)
        connection.request("GET", "/explorer.json", headers={"Host": host})
        assert connection.getresponse().status == 200
        connection.close()
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == 130 and "Traceback" not in rest


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--image-shape", "8"), 2, "is no HEIGHTxWIDTH"),
        (("--condition", "kind=a"), 1, "takes no condition"),
        (("--label", "kind"), 2, "--label is about columns of --rows"),
        (("--no-header",), 2, "--header is about columns of --rows"),
        (("--image-shape", "8x8"), 1, "image shape is 8x8: expected a product of 5"),
        (("--sha256", "0" * 64), 1, "this is another bundle than the pinned one"),
    ],
)
def test_wrong_options_are_refused(options: tuple[str, ...], status: int, words: str) -> None:
    done = run("explore", TINY, "--no-open", *options)
    said = done.stderr.decode()
    assert done.returncode == status and words in said and "Traceback" not in said


def test_a_run_without_torch_is_refused() -> None:
    code = "import sys; sys.modules['torch'] = None; from aaptvae.cli import main; main()"
    command = [sys.executable, "-c", code, "explore", str(OLD / "run"), "--no-open"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert re.search(r"is a run, which cannot be explored without \w+: pip install", done.stderr), done.stderr
