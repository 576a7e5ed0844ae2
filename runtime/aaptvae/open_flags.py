"""Flags of `os.open` for files that other users may have placed: no symbolic link, no waiting on a pipe."""

import os

UNTRUSTED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
