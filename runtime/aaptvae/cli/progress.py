"""Progress on stderr: one line that is rewritten on a terminal, one new line per minute in a log."""

import contextlib
import os
import sys
import time

ON_TERMINAL = 0.1  # seconds between two updates
IN_LOG = 60.0  # seconds between two lines


class Progress:
    """Counts rows of a job of `total` (None: unknown), `done` of which an earlier process finished."""

    def __init__(self, verb: str, total: int | None, done: int = 0, unit: str = "rows") -> None:
        self._unit = unit
        self._verb, self._total, self._done, self._before = verb, total, done, done
        self._begun = self._shown = time.monotonic()
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self.note = ""  # appended to the line

    def advance(self, rows: int) -> None:
        """Count `rows` more and update the line if it is due."""
        self._done += rows
        now = time.monotonic()
        if sys.stderr is None or now - self._shown < (ON_TERMINAL if self._terminal else IN_LOG):
            return
        self._shown = now
        self._show(self._line(now - self._begun))

    def show(self) -> None:
        """Show the line at once, on a terminal."""
        if self._terminal:
            self._show(self._line(time.monotonic() - self._begun))

    def _show(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk or a closed terminal does not end a job
            if self._terminal:
                columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
                line = f"\r\x1b[K{line[: columns - 1]}"  # a wrapped line could not be erased
            sys.stderr.write(line if self._terminal else f"{line}\n")
            sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        rate = (self._done - self._before) / max(seconds, 1e-9)
        line = f"{self._verb} {self._done:,} {self._unit}, {rate:,.0f} {self._unit}/s"
        if self._total and rate:  # no estimate before the first rows
            left = int((self._total - self._done) / max(rate, 1e-9))
            line += f", {100 * self._done / self._total:.0f}%, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
        return line + self.note

    def close(self) -> None:
        """Erase the line from a terminal."""
        if self._terminal:
            self._show("")
