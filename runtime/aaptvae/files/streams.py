"""Streams of bytes that are read: files, stdin, and what needs seeking, in memory."""

import io
import os
import stat
from pathlib import Path
from typing import IO

from ..errors import InputError

STDIN = 0
MAX_HELD = 1 << 30  # bytes of a piped file that is read into memory because its format needs seeking


def open_file(path: str) -> tuple[IO[bytes], int | None]:
    """A file and its size in bytes, None where it is no regular file; `InputError` if it cannot be read."""
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - the reader closes it
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    facts = os.fstat(stream.fileno())
    return stream, facts.st_size if stat.S_ISREG(facts.st_mode) else None


def open_stdin(format: str) -> tuple[IO[bytes], int | None]:
    """Stdin, whose size is not known; `InputError` for a terminal."""
    if os.isatty(STDIN):
        raise InputError(f"stdin is a terminal: pipe {format} data into it, or name a file")
    # Not sys.stdin.buffer: a thread blocked in a read of it would delay the interpreter's exit.
    return open(STDIN, "rb", closefd=False), None


def held_in_memory(name: str, stream: IO[bytes]) -> tuple[IO[bytes], int]:
    """The rest of a stream, which is closed, in memory, and its size; `InputError` above `MAX_HELD`."""
    data = stream.read(MAX_HELD + 1)
    stream.close()
    if len(data) > MAX_HELD:
        raise InputError(f"{name} is larger than {MAX_HELD >> 30} GiB and its format cannot be streamed: give a file")
    return io.BytesIO(data), len(data)
