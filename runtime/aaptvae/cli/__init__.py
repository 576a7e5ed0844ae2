"""The command line. Asking for help costs no more than Python itself: everything else is imported on demand."""

import os
import sys

from .overview import page


def main() -> None:
    """Entry point of the `aaptvae` script."""
    # A stream that the caller closed is None; its place is taken, or the next file that is opened would become it.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - pathlib is not imported yet
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    if sys.argv[1:] in ([], ["--help"], ["-h"]) and "_AAPTVAE_COMPLETE" not in os.environ:
        try:
            sys.stdout.write(page())
            sys.stdout.flush()
        except OSError:  # nobody reads it, and Python would complain on the way out
            os._exit(1)
        return
    from .stop import STOP  # noqa: PLC0415 - as is the rest, more than the page needs

    try:
        STOP.install()
        from .app import run  # noqa: PLC0415 - click takes four times as long to import as Python to start

        run(sys.argv[1:])
    finally:
        STOP.finish()
