"""The files of a folder or a pattern, in natural order: x-2 before x-10."""

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

from ..errors import InputError


def shard_paths(path: Path, formats: Collection[str], suffix: Callable[[str], tuple[str, str]]) -> list[str] | None:
    """Feature files of a folder and its subfolders, or of a pattern; None for any other path.

    `suffix` splits a name into its format, one of `formats` for a feature file, and the suffix of a compression.
    Brackets in the part of a pattern that exists as a folder are taken literally. Hidden files are left out.
    """
    if path.is_dir():
        below = (entry for entry in path.rglob("*") if not any(part[0] == "." for part in entry.relative_to(path).parts))
        found = [str(entry) for entry in below if suffix(entry.name)[0] in formats and not entry.is_dir()]
    elif not path.exists() and glob.has_magic(str(path)):
        found = glob.glob(_pattern(path), recursive=True)  # noqa: PTH207 - the pattern may be absolute
    else:
        return None
    if not found:
        raise InputError(
            f"{path} holds no feature files: expected .{' .'.join(formats)}, "
            "also in subfolders of a folder: check the path; in a pattern, [ ] stand for one character"
        )
    return sorted(found, key=natural)


def reaches(path: Path, file: Path) -> bool:
    """Whether a file is below the folder `path`, or of the pattern `path`, and not hidden."""
    if path.is_dir():
        folder, place = (Path(os.path.realpath(each)) for each in (path, file))
        return place.is_relative_to(folder) and not any(part[0] == "." for part in place.relative_to(folder).parts)
    if path.exists() or not glob.has_magic(str(path)):
        return False
    wanted, parts = (Path(os.path.abspath(each)).parts for each in (_pattern(path), file))  # noqa: PTH100 - keeps links
    if "**" in wanted:
        return fnmatch.fnmatchcase(str(Path(*parts)), str(Path(*wanted)))
    return len(wanted) == len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted))


def natural(name: str) -> list[tuple[int, str]]:
    """A key by which numbers in names are ordered by their values."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def _pattern(path: Path) -> str:
    """`path` with the longest part that exists taken literally."""
    parts = path.parts
    for count in range(len(parts) - 1, 0, -1):
        folder = Path(*parts[:count])
        if folder.is_dir():
            return str(Path(glob.escape(str(folder)), *parts[count:]))
    return str(path)
