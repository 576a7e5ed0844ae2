"""The listening socket of a server, and its end without resetting connections that clients made already."""

import contextlib
import ctypes
import resource
import socket
import struct
import sys

from ..errors import InputError

_BACKLOG = 2048
_OTHER_FILES = 64  # descriptors beside those of connections: about 20 of the process, and a bundle that is read
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux, which the module socket does not name
_DROP_ALL = struct.pack("=HBBI", 6, 0, 0, 0)  # the program "return 0" of classic BPF: keep no byte of a packet


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. `InputError` if the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host}, port {port} ({error}): choose another --host or --port") from None


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def allow_connections(count: int) -> int:
    """Raise this process's limit of open files for `count` connections, or as far as the system allows.

    Returns how many connections fit: one that finds no descriptor would wait unanswered, and bundles could not be read.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(count, max(1, wanted - _OTHER_FILES))


def refuse_new(listener: socket.socket) -> None:
    """Let the kernel drop packets that open connections, so that the queue of the socket can be emptied before it closes.

    A socket that closes resets the connections in its queue, with requests that clients have sent. A client whose first
    packet is dropped repeats it a second later and is refused then. Only Linux can do this, some kernels only for root: else
    connections that come in the milliseconds before the socket closes are reset.
    """
    if sys.platform == "linux":
        program = ctypes.create_string_buffer(_DROP_ALL)
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))
