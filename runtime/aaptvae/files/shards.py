"""The files of a folder or a pattern, in natural order: x-2 before x-10."""

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ..errors import InputError
from ..tables.names import listed


def shard_paths(path: Path, formats: Collection[str], suffix: Callable[[str], tuple[str, str]]) -> list[str] | None:
    """Feature files of a folder and its subfolders, or of a pattern; None for any other path.

    `suffix` splits a name into its format, one of `formats` for a feature file, and the suffix of a compression.
    Brackets in the part of a pattern that exists as a folder are taken literally. Below a folder, names that begin with . or _
    are left out, as in Arrow and Spark, and links to folders are not followed.
    """
    if path.is_dir():
        found = [str(entry) for entry in path.rglob("*") if _is_read(path, entry) and suffix(entry.name)[0] in formats]
        found = [name for name in found if not Path(name).is_dir()]
    elif not path.exists() and glob.has_magic(str(path)):
        found = glob.glob(_pattern(path), recursive=True)  # noqa: PTH207 - the pattern may be absolute
    else:
        return None
    if not found:
        raise InputError(
            f"{path} holds no feature files: expected .{' .'.join(formats)}, "
            "also in subfolders of a folder, without names that begin with . or _ and links to folders: check the path; in a "
            "pattern, [ ] stand for one character"
        )
    return sorted(found, key=natural)


def notes_on(path: Path, found: Sequence[str], formats: Collection[str], suffix: Callable[[str], tuple[str, str]]) -> list[str]:
    """What is left out below a folder, and files of one name in several formats among those `found`."""
    notes, stems = [], dict[str, list[str]]()
    for name in found:
        stem = Path(name[: -len(packed)] if (packed := suffix(name)[1]) else name).with_suffix("")
        stems.setdefault(str(stem), []).append(Path(name).name)
    if several := [", ".join(names) for names in stems.values() if len(names) > 1]:
        notes.append(f"{path} holds files of one name in several formats, which are all read: {listed(several)}")
    if path.is_dir():
        entries = [entry for entry in path.rglob("*") if suffix(entry.name)[0] in formats or entry.is_symlink()]
        links = [str(entry.relative_to(path)) for entry in entries if entry.is_symlink() and entry.is_dir()]
        aside = {
            next(part for part in entry.relative_to(path).parts if part[0] in "._")
            for entry in entries
            if not _is_read(path, entry) and not entry.is_dir()
        }
        if names := sorted(name for name in aside if name[0] == "_"):
            notes.append(f"{path} has files below names that begin with _, which are left out: {listed(names)}")
        if names := [name for name in links if not any(part[0] in "._" for part in Path(name).parts)]:
            notes.append(f"{path} has links to folders, which are not followed: {listed(names)}")
    return notes


def _is_read(folder: Path, entry: Path) -> bool:
    return not any(part[0] in "._" for part in entry.relative_to(folder).parts)


def reaches(path: Path, file: Path) -> bool:
    """Whether a file is below the folder `path`, or of the pattern `path`, and not hidden."""
    if path.is_dir():
        folder, place = (Path(os.path.realpath(each)) for each in (path, file))
        return place.is_relative_to(folder) and _is_read(folder, place)
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
