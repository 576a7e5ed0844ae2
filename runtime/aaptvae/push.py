"""Publish a bundle in a model repository of the Hugging Face Hub, with a model card that names a licence."""

from typing import NamedTuple

from .bundle import Place, read_bundle
from .bundle.manifest import MODEL_CARD
from .bundle.reading import read_card
from .hub import licensed_card, parse_address, upload


class Pushed(NamedTuple):
    """A bundle on the Hub: its address with the commit, for `load`, and its digest, for `sha256`."""

    address: str
    digest: str


def push(place: Place, address: str, *, licence: str | None = None, private: bool = False) -> Pushed:
    """Check the bundle at `place` and commit its files to `hf://OWNER/NAME[@BRANCH]`, created if it does not exist.

    `licence` goes into the front matter of the pushed model card, which must name one. Raises `BundleError` for a bundle
    that does not pass, `InputError` if the card or the Hub refuses.
    """
    parse_address(address)
    bundle = read_bundle(place)
    files = dict(bundle.files) | {MODEL_CARD: licensed_card(read_card(place), licence)}
    message = f"Upload {bundle.manifest.name} with aaptvae"
    return Pushed(upload(files, address, private=private, message=message), bundle.digest)
