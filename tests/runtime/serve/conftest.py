"""One server of the tiny bundle, in two versions and with named columns, and of the digits."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from serving import Client, Served

DIGITS = Path(__file__).parents[3] / "artifacts/digits"


@pytest.fixture(scope="session")
def server(tiny: Path, named: Path, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Served]":
    from serving import serving  # noqa: PLC0415 - it skips where the extra is not installed

    bundles = (tiny, f"tiny:2={tiny}", f"named={named}", DIGITS)
    with serving(tmp_path_factory.mktemp("server"), *bundles, "--max-rows", 5000, "--max-body", 4) as made:
        yield made


@pytest.fixture
def client(server: "Served") -> "Iterator[Client]":
    with server.client() as made:
        yield made
