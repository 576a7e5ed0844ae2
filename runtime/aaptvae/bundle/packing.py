"""A bundle as the bytes of one zip, which is exported, or travels with a pickled object."""

import io
import zipfile
from collections.abc import Mapping

from .manifest import MODEL_CARD
from .reading import read_bundle, read_card
from .sources import Place


def packed(place: Place) -> bytes:
    """The bundle at `place` as the bytes of one zip, the same for the same files; bytes are returned as they are."""
    if isinstance(place, bytes):
        return place
    return zipped({**read_bundle(place).files, MODEL_CARD: read_card(place)})


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Files as one zip with the same bytes every time: sorted, not compressed, with a fixed date."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return data.getvalue()
