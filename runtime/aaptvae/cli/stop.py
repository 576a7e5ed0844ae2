"""SIGINT and SIGTERM end a command by `SystemExit` in the main thread, or after `GRACE` seconds by `os._exit`.

Python runs signal handlers between two bytecodes of the main thread. An exception raised there is lost inside `__del__`,
becomes an ImportError inside an import, and cannot be raised while the main thread runs native code.
"""

import _thread
import contextlib
import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

PUBLISHING = "aaptvae.files.publish"  # its `abandon` removes temporary files
GRACE = 1.5  # seconds to unwind
WORDS = {signal.SIGINT.value: b"interrupted\n", signal.SIGTERM.value: b"terminated\n"}
_SWALLOWING = ("importlib._bootstrap", "importlib._bootstrap_external", "weakref", "_weakrefset")


class Stop:
    """Handlers of one process; `number` is the first signal received (0: none)."""

    def __init__(self) -> None:
        self._raised = self._said = self._watched = False
        self.number, self._until = 0, 0.0

    def install(self) -> None:
        """Handle signals from now on: exit status 130 or 143, after about `GRACE` seconds at most."""
        for number in WORDS:
            signal.signal(number, self._handle)
        if sys.platform != "win32":  # set_wakeup_fd takes sockets only
            ours, theirs = os.pipe()
            os.set_blocking(theirs, False)
            signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
            os.register_at_fork(after_in_child=_restore_defaults)
            with contextlib.suppress(RuntimeError):  # no more threads allowed
                self._watched = bool(_thread.start_new_thread(self._watch, (ours,)))

    def allow(self, seconds: float) -> None:
        """Let unwinding take this long from now."""
        self._until = time.monotonic() + seconds

    def exit_if_signalled(self) -> None:
        """Exit now if a signal was received; ignore every later one."""
        self._raised = True
        for number in WORDS:  # at exit Python restores default handlers: a late signal would give the wrong exit status
            signal.signal(number, signal.SIG_IGN)
        if self.number:
            self.end()

    def end(self) -> NoReturn:
        """Remove temporary files, write one line and exit without Python's finalisation, which joins blocked threads."""
        # Looked up, not imported: if it was never imported, there are no temporary files.
        getattr(sys.modules.get(PUBLISHING), "abandon", lambda: None)()
        said, self._said = self._said, True
        with contextlib.suppress(OSError):
            os.write(2, b"" if said else WORDS[self.number])  # sys.stderr may be locked by the main thread
        os._exit(128 + self.number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if not self._raised and (not self._watched or _can_raise(frame)):
            self._raised = True
            raise SystemExit(128 + self.number)

    def _watch(self, pipe: int) -> None:
        """In a thread: repeat the signal until its handler could raise; exit when the time is over."""
        while (number := os.read(pipe, 1)[0]) not in WORDS:
            pass
        self.number = self.number or number
        self._until = max(self._until, time.monotonic() + GRACE)
        while time.monotonic() < self._until:
            if not self._raised:
                _thread.interrupt_main(signal.Signals(self.number))
            time.sleep(0.02)
        self.end()


def _can_raise(frame: FrameType | None) -> bool:
    """True if an exception raised in this frame reaches `main`: not in an import, a finaliser or a weakref callback."""
    while frame and frame.f_code.co_name != "__del__" and frame.f_globals.get("__name__") not in _SWALLOWING:
        frame = frame.f_back
    return frame is None


def _restore_defaults() -> None:
    """In a forked child, which shares the pipe: its signals must not end the parent."""
    signal.set_wakeup_fd(-1)
    for number in WORDS:
        signal.signal(number, signal.SIG_DFL)


STOP = Stop()
