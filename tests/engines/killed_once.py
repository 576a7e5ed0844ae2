"""A function whose process is killed at its third batch, once for all processes together."""

import os
import signal
from typing import Any


class KilledOnce:
    """Calls `function`; the process that is the first to see its third batch kills itself."""

    def __init__(self, function: Any, marker: str) -> None:
        self.function, self.marker, self.calls = function, marker, 0

    def __call__(self, batch: Any) -> Any:
        self.calls += 1
        if self.calls == 1 and len(batch):
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.function(batch)
