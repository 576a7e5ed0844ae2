"""One line on stderr: how far a job is, how fast, how long it will take. In a log, one more line a minute."""

import contextlib
import os
import sys
import time
from types import TracebackType
from typing import Self

ON_TERMINAL = 0.1  # seconds between two states of the line
IN_LOG = 60.0  # seconds between two lines


class Progress:
    """Counts rows of a job of `total` (None: not known), `done` of which an earlier run did."""

    def __init__(self, verb: str, total: int | None, done: int = 0, unit: str = "rows") -> None:
        self._unit = unit
        self._verb, self._total, self._done, self._before = verb, total, done, done
        self._begun = self._shown = time.monotonic()
        self._watched = sys.stderr is not None and sys.stderr.isatty()
        self.note = ""  # what else to say at the end of the line

    def advance(self, rows: int) -> None:
        """Count `rows` more and show them now and then."""
        self._done += rows
        now = time.monotonic()
        if sys.stderr is None or now - self._shown < (ON_TERMINAL if self._watched else IN_LOG):
            return
        self._shown = now
        self._say(self._line(now - self._begun))

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a full log or a terminal that is gone does not end a job
            if self._watched:
                columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
                line = f"\r\x1b[K{line[: columns - 1]}"  # a line that wraps could not be taken back
            sys.stderr.write(line if self._watched else f"{line}\n")
            sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        rate = (self._done - self._before) / max(seconds, 1e-9)
        line = f"{self._verb} {self._done:,} {self._unit}, {rate:,.0f} {self._unit}/s"
        if self._total and rate:  # the first state is shown before there is a rate
            left = int((self._total - self._done) / max(rate, 1e-9))
            line += f", {100 * self._done / self._total:.0f}%, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
        return line + self.note

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._watched:
            self._say("")
