"""Runs the command line and notes what it touches: `python watched.py NOTES VERB ...` writes a line for each event.

Python's audit hooks see what Python does; `connections` looks at the descriptors that the process holds in the end.
"""

import os
import sys
from pathlib import Path

SIGHTS = (
    "socket.",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
    "ctypes.dlopen",
    "urllib.Request",
    "shutil.",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(notes: int) -> None:
    """Note every event that reaches out of the process or changes a file; what is read is no one's loss."""

    def hook(event: str, details: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = details
            if not (isinstance(flags, int) and flags & WRITING) or isinstance(path, int):
                return
        elif not event.startswith(SIGHTS):
            return
        words = " ".join(os.fsdecode(d) if isinstance(d, bytes) else str(d) for d in details)
        os.write(notes, f"{event}\t{words}\n".encode("utf-8", "replace"))

    sys.addaudithook(hook)


def connections() -> list[str]:
    """Sockets that this process holds, whoever opened them, and its children."""
    held = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return [name for name in held if name.startswith("socket:")] + (children.read_text().split() if children.exists() else [])


if __name__ == "__main__":
    descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o666)
    sys.argv = ["aaptvae", *sys.argv[2:]]
    from aaptvae.cli import main

    watch(descriptor)
    try:
        main()
    finally:
        for found in connections():
            os.write(descriptor, f"held\t{found}\n".encode())
