"""Arrow's IPC files (Feather version 2) and streams, told by their first bytes, and opened."""

import time
from typing import IO, Any, NamedTuple

from ..errors import InputError

MAGIC, FEATHER_V1 = b"ARROW1", b"FEA1"
# Seconds after a failure, for a thread of Arrow that frees Python objects: while Python ends, it would abort the process.
_WAIT = 0.05


class Opened(NamedTuple):
    """A file, None for a stream, which is read again for each pass; its number of rows, and its schema."""

    file: Any
    rows: int
    schema: Any


def open_arrow(pyarrow: Any, name: str, stream: IO[bytes]) -> Opened:
    """A file or a stream, whose batches are counted; raises what pyarrow raises, `InputError` for Feather version 1."""
    magic = stream.read(len(MAGIC))
    stream.seek(0)
    if magic.startswith(FEATHER_V1):
        raise InputError(f"{name} is Feather version 1: expected version 2, which is an Arrow file: write it as .parquet")
    if magic != MAGIC:
        opened = pyarrow.ipc.open_stream(stream)
        return Opened(None, sum(batch.num_rows for batch in opened), opened.schema)
    try:
        file = pyarrow.ipc.open_file(stream)
    except BaseException:
        time.sleep(_WAIT)
        raise
    return Opened(file, sum(file.get_batch(index).num_rows for index in range(file.num_record_batches)), file.schema)
