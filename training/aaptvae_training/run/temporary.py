"""The temporary folder of a run that was given none."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path


class TemporaryFolder:
    """A folder that is removed with this object, or when the process that made it ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="aaptvae-run-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, maker: int) -> None:
    if os.getpid() == maker:  # a forked process holds a copy of the object
        shutil.rmtree(path, ignore_errors=True)
