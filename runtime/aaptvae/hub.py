"""Model repositories of the Hugging Face Hub, through the optional package huggingface_hub: its cache, token and variables."""

import importlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import AaptvaeError, BundleError, InputError, MissingDependencyError

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(\w[\w./-]*))?", re.ASCII)
_LIBRARY = {"library_name": "aaptvae"}


def parse_address(address: str) -> tuple[str, str | None]:
    """Repository `OWNER/NAME` and revision of `hf://OWNER/NAME[@REVISION]`; `InputError` for anything else."""
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise InputError(
            f"{address} is not an address on the Hub: expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION, "
            "a branch, a tag or a commit"
        )
    return match[1], match[2]


class Snapshot:
    """One commit of a model repository: its files are downloaded to huggingface_hub's cache as they are asked for."""

    def __init__(self, address: str) -> None:
        self._repository, self._revision = parse_address(address)
        self._hub = _huggingface_hub()

    @property
    def address(self) -> str:
        """The address with its commit, known after the first file."""
        return f"{SCHEME}{self._repository}@{self._revision}"

    def file(self, name: str, limit: int) -> str:
        """Path of a file in the cache; `BundleError` if it is larger than `limit` bytes or cannot be had.

        All files come from the commit of the first one, also where a branch moves meanwhile.
        """
        wanted = {"repo_id": self._repository, "filename": name, "revision": self._revision, **_LIBRARY}
        with self._explained(name):
            about = self._hub.hf_hub_download(**wanted, dry_run=True)
            if about.will_download and (about.file_size is None or about.file_size > limit):
                raise BundleError(f"{name} of {SCHEME}{self._repository} has {about.file_size} bytes: expected {limit} at most")
            path: str = self._hub.hf_hub_download(**wanted)
        self._revision = os.path.basename(os.path.dirname(path))
        return path

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except AaptvaeError:
            raise
        except Exception as error:  # huggingface_hub raises its own types and those of its HTTP client
            address = f"{SCHEME}{self._repository}" + (f"@{self._revision}" if self._revision else "")
            raise BundleError(f"cannot read {name} of {address}: {self._reason(error)}") from None

    def _reason(self, error: Exception) -> str:
        errors = self._hub.errors
        if isinstance(error, errors.GatedRepoError):
            return "the repository is gated: accept its conditions on its page, then log in with `hf auth login`"
        if isinstance(error, errors.RepositoryNotFoundError):
            return "there is no such repository, or it is private: check the name, or log in with `hf auth login`"
        if isinstance(error, errors.RevisionNotFoundError):
            return "there is no such revision: expected a branch, a tag or a commit"
        if isinstance(error, errors.LocalEntryNotFoundError):
            return "it is not in the cache, and the Hub is offline or HF_HUB_OFFLINE is set: load it once with a network"
        if isinstance(error, errors.EntryNotFoundError):
            return "there is no such file: expected a bundle, pushed by `aaptvae push`"
        return _first_line(error)


def upload(files: Mapping[str, bytes], address: str, *, private: bool, message: str) -> str:
    """Commit the files to the repository, created if it does not exist; the address with the new commit.

    `private` refuses a repository that exists and is public. Raises `InputError` if the Hub refuses.
    """
    (repository, revision), hub = parse_address(address), _huggingface_hub()
    api = hub.HfApi(**_LIBRARY)
    operations = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in sorted(files.items())]
    with _refused(address, hub):
        api.create_repo(repository, private=private or None, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise InputError(
                f"{SCHEME}{repository} exists and is public: make it private in its settings, or choose another name"
            )
        if revision is not None and revision != "main":
            api.create_branch(repository, branch=revision, exist_ok=True)
        with _without_bars(hub):
            commit = api.create_commit(repository, operations, commit_message=message, revision=revision)
    return f"{SCHEME}{repository}@{commit.oid}"


def licensed_card(card: bytes, licence: str | None) -> bytes:
    """The model card with `licence` in its front matter; `InputError` if neither names one or the YAML is broken."""
    hub = _huggingface_hub()
    try:
        text = card.decode()
        parsed = hub.ModelCard(text if text.startswith("---") else "---\n{}\n---\n\n" + text)
    except Exception as error:  # of the YAML parser, or UnicodeDecodeError
        raise InputError(f"the front matter of README.md is not valid YAML ({_first_line(error)}): correct it") from None
    if licence is not None:
        parsed.data.license = licence
    if not parsed.data.license:
        raise InputError(
            "README.md names no licence: add --license with an identifier of the Hub: apache-2.0, mit, cc-by-4.0, other"
        )
    return str(parsed).encode() if licence is not None else card


@contextmanager
def _without_bars(hub: Any) -> Iterator[None]:
    """huggingface_hub shows no progress bars, which it would also write to logs."""
    shown = not hub.utils.are_progress_bars_disabled()
    hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            hub.utils.enable_progress_bars()


@contextmanager
def _refused(address: str, hub: Any) -> Iterator[None]:
    try:
        yield
    except AaptvaeError:
        raise
    except Exception as error:
        answer = getattr(getattr(error, "response", None), "status_code", None)
        reason = "log in with `hf auth login`, as a user who may write there" if answer in (401, 403) else _first_line(error)
        raise InputError(f"cannot push to {address}: {reason}") from None


def _first_line(error: Exception) -> str:
    """The message without the URLs and advice of further lines, at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:3])[:300]


def _huggingface_hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise MissingDependencyError(
            "hf:// needs huggingface_hub, which is not installed: pip install huggingface_hub"
        ) from None
