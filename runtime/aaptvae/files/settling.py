"""A file that goes to the disk while it is written, and gives back the memory that it was kept in on the way.

Writing a page of memory that was never used costs up to ten times one that was (a virtual machine gets it from its host
first). Pages that are let go are the next ones to be written, so that a file of any size needs a few of them.
"""

import contextlib
import io
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WINDOW = 32 << 20  # bytes: large beside what a disk does at once, small beside memory


class SettlingFile(io.FileIO):
    """Opened to read and write. What the disk refuses in the background, the next `write` raises, or `close`."""

    _fresh = 0
    _settler: threading.Thread | None = None
    _error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, and settle what came before once there is enough of it."""
        count = super().write(data)
        self._fresh += count
        if self._fresh >= WINDOW and hasattr(os, "posix_fadvise"):
            self._fresh = 0
            self._wait()
            settler = threading.Thread(target=self._settle, daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread to be had: it all settles in the end
                settler.start()
                self._settler = settler
        return count

    def close(self) -> None:
        """Close, with nothing left under way."""
        try:
            if not self.closed:
                self._wait()
        finally:
            super().close()

    def _settle(self) -> None:
        try:
            os.fdatasync(self.fileno())
            os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:  # raised again in the thread that writes
            self._error = error

    def _wait(self) -> None:
        if self._settler is not None:
            self._settler.join()
        error, self._settler, self._error = self._error, None, None
        if error is not None:
            raise error
