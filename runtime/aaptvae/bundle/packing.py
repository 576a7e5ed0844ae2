"""A bundle as the bytes of one zip, which travel with a pickled object."""

import io
import zipfile

from .manifest import MODEL_CARD
from .reading import read_bundle, read_card
from .sources import Place


def packed(place: Place) -> bytes:
    """The bundle at `place` as the bytes of one zip, the same for the same files; bytes are returned as they are."""
    if isinstance(place, bytes):
        return place
    files = {**read_bundle(place).files, MODEL_CARD: read_card(place)}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return data.getvalue()
