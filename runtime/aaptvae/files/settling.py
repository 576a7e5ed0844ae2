"""A file whose written pages are synced and dropped from the page cache in the background, window by window.

On a virtual machine, a page that the guest never used costs up to ten times one that it used before, because the host
must provide it. Dropped pages are reused by the next writes, so a file of any size needs few new ones.
"""

import contextlib
import io
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WINDOW = 32 << 20  # bytes between two syncs


class SettlingFile(io.FileIO):
    """A raw file for reading and writing; an error of the background sync is raised by the next `write` or `close`."""

    _fresh = 0
    _settler: threading.Thread | None = None
    _error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, and start a sync after each window."""
        count = super().write(data)
        self._fresh += count
        if self._fresh >= WINDOW and hasattr(os, "posix_fadvise"):
            self._fresh = 0
            self._wait()
            settler = threading.Thread(target=self._settle, daemon=True)
            with contextlib.suppress(RuntimeError):  # no more threads allowed: the final fsync does it all
                settler.start()
                self._settler = settler
        return count

    def close(self) -> None:
        """Wait for the sync, then close."""
        try:
            if not self.closed:
                self._wait()
        finally:
            super().close()

    def _settle(self) -> None:
        try:
            os.fdatasync(self.fileno())
            os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:  # raised by the next call in the writing thread
            self._error = error

    def _wait(self) -> None:
        if self._settler is not None:
            self._settler.join()
        error, self._settler, self._error = self._error, None, None
        if error is not None:
            raise error
