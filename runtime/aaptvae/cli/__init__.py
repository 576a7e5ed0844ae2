"""The command line `aaptvae`. numpy and onnxruntime are imported by the verbs that need them."""

import os
import sys

from .stop import STOP


def main() -> None:
    """Entry point of the `aaptvae` script."""
    # A stream that was closed before the start is None: without a substitute, its descriptor would go to the next file.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - pathlib is not imported yet
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    try:
        STOP.install()
        from .app import run  # noqa: PLC0415 - signals are handled before the slow imports

        run(sys.argv[1:])
    finally:
        STOP.exit_if_signalled()
