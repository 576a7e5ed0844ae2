"""Members of untrusted zip archives as bytes in memory, with their names and sizes checked."""

import io
import re
import stat
import zipfile

from ..errors import BundleError
from .manifest import FILE_NAME

_MEMBERS = 64
_ENTRY = b"PK\x01\x02"  # signature of an entry of the central directory
_NAME = re.compile(FILE_NAME)


def unzip(data: bytes, name: str, limit: int) -> dict[str, bytes]:
    """Members of a zip by name; raises `BundleError` unless they are few regular files of `limit` bytes in all."""
    if (entries := data.count(_ENTRY)) > 4 * _MEMBERS:  # zipfile would allocate an object for each
        raise BundleError(f"{name} has {entries} entries: expected {_MEMBERS} members at most")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check(members, name, limit)
            return {member.filename: _read(archive, member, name) for member in members}
    except BundleError:
        raise
    except Exception as error:  # zipfile raises many types on malformed input
        raise BundleError(f"{name} is not a readable zip ({error}): fetch it again") from None


def _check(members: list[zipfile.ZipInfo], name: str, limit: int) -> None:
    if len(members) > _MEMBERS or len({member.filename for member in members}) < len(members):
        raise BundleError(
            f"{name} has {len(members)} members, or two of one name: expected {_MEMBERS} at most, with distinct names"
        )
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if not _NAME.fullmatch(member.orig_filename) or kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
            raise BundleError(
                f"{name} has a member {member.orig_filename[:100]!r}: expected plain, unencrypted files "
                "with plain names: zip the files of the bundle and nothing else: zip -jX bundle.zip bundle/*"
            )
    total = sum(member.file_size for member in members)
    if total > limit:
        raise BundleError(f"{name} unpacks to {total} bytes: expected {limit} at most")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BundleError(
            f"{member.filename} in {name} is packed by method {member.compress_type}: expected stored or deflated: zip it again"
        )
    with archive.open(member) as stream:
        content = stream.read(member.file_size + 1)  # the declared size may be wrong
    if len(content) != member.file_size:
        raise BundleError(f"{member.filename} in {name} is not {member.file_size} bytes as declared: fetch it again")
    return content
