"""The command line. Asking for help costs no more than Python itself: everything else is imported on demand."""

import os
import sys

from .overview import page


def main() -> None:
    """Entry point of the `aaptvae` script."""
    if sys.argv[1:] in ([], ["--help"], ["-h"]) and "_AAPTVAE_COMPLETE" not in os.environ:
        sys.stdout.write(page())
        return
    try:
        from .app import run  # noqa: PLC0415 - click takes four times as long to import as Python to start

        run(sys.argv[1:])
    except KeyboardInterrupt:  # while importing
        sys.exit(130)
