"""How SIGINT and SIGTERM end the command line: by unwinding where Python can be interrupted, else by leaving it.

Python runs a signal's handler between two steps of its main thread, wherever that is: raising there is lost in a
finaliser, becomes another error in an import, and never happens while the main thread waits in foreign code.
"""

import _thread
import contextlib
import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

GRACE = 1.5  # seconds to unwind
WORDS = {signal.SIGINT.value: b"interrupted\n", signal.SIGTERM.value: b"terminated\n"}
_DEAF = ("importlib._bootstrap", "importlib._bootstrap_external", "weakref", "_weakrefset")


class Stop:
    """The first signal that came, as `number` (0: none yet), and what is done about it."""

    def __init__(self) -> None:
        self.over = self._raised = self._said = self._watched = False  # over: nothing is left to unwind
        self.number, self._until = 0, 0.0

    def install(self) -> None:
        """From now on a signal ends this process, with 130 or 143, in about `GRACE` seconds at most."""
        for number in WORDS:
            signal.signal(number, self._handle)
        if sys.platform != "win32":  # pipes cannot wake anybody there
            ours, theirs = os.pipe()
            os.set_blocking(theirs, False)
            signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
            os.register_at_fork(after_in_child=_forget)
            with contextlib.suppress(RuntimeError):  # no thread to be had
                self._watched = bool(_thread.start_new_thread(self._watch, (ours,)))

    def allow(self, seconds: float) -> None:
        """Unwinding may take this long from now."""
        self._until = time.monotonic() + seconds

    def finish(self) -> None:
        """Nothing is left to unwind: a signal that came ends the process, one that comes from now on changes nothing."""
        self.over = True
        if self.number:
            self.end()
        for number in WORDS:  # Python's farewell would put the default in place, and die of it
            signal.signal(number, signal.SIG_IGN)

    def end(self) -> NoReturn:
        """Exit without Python's own farewell, which waits for threads that may never come back."""
        # Not imported: where it is not yet, nothing was written.
        getattr(sys.modules.get("aaptvae.files.publish"), "abandon", lambda: None)()
        said, self._said = self._said, True
        with contextlib.suppress(OSError):
            os.write(2, b"" if said else WORDS[self.number])  # sys.stderr may be in the middle of a line
        os._exit(128 + self.number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if self.over:
            self.end()
        if not self._raised and (not self._watched or _hears(frame)):
            self._raised = True
            raise SystemExit(128 + self.number)

    def _watch(self, pipe: int) -> None:
        """In a thread: repeat a signal that came at a bad moment, and lose patience."""
        while (number := os.read(pipe, 1)[0]) not in WORDS:
            pass
        self.number = self.number or number
        self._until = max(self._until, time.monotonic() + GRACE)
        while time.monotonic() < self._until:
            if not self._raised:
                _thread.interrupt_main(signal.Signals(self.number))
            time.sleep(0.02)
        self.end()


def _hears(frame: FrameType | None) -> bool:
    """Whether what is raised here arrives: not in an import, nor in what the collector of garbage calls."""
    while frame and frame.f_code.co_name != "__del__" and frame.f_globals.get("__name__") not in _DEAF:
        frame = frame.f_back
    return frame is None


def _forget() -> None:
    """A forked child shares the pipe, and is not to end its parent."""
    signal.set_wakeup_fd(-1)
    for number in WORDS:
        signal.signal(number, signal.SIG_DFL)


STOP = Stop()
