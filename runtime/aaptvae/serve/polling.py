"""Busy polling: looking for the next request instead of sleeping, where that has found one lately.

A process that sleeps is woken by an interrupt, which takes longer than the answer to one row on a virtual machine.
"""

import asyncio
import time

_LONGEST_PAUSE = 63  # answers without polling after searches that found nothing


class Polling:
    """After an answer, the loop does not sleep for up to `seconds`; a search that finds nothing doubles the pause to the next.

    The rule is that of KVM's adaptive halt polling. 0 seconds: never.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until = seconds, 0.0
        self.searching = False
        self._pause = self._answers = 0  # between searches; since the last one

    def found(self) -> None:
        """A request has come, found by a search if one is on."""
        if self.searching:
            self._pause, self._until = 0, time.perf_counter() + self._seconds

    def answered(self) -> None:
        """An answer was sent: begin a search, or go on with the one that is on."""
        if self.searching:
            self._until = time.perf_counter() + self._seconds
        elif self._answers < self._pause:
            self._answers += 1
        elif self._seconds > 0:
            self.searching, self._until = True, time.perf_counter() + self._seconds
            asyncio.get_running_loop().call_soon(self._search)

    def _search(self) -> None:
        if time.perf_counter() < self._until:
            asyncio.get_running_loop().call_soon(self._search)  # a loop with work looks at its sockets without sleeping
        else:
            self.searching, self._answers = False, 0
            self._pause = min(2 * self._pause + 1, _LONGEST_PAUSE)
