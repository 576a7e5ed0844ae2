"""Thousands of permutations, drops and additions of columns: the same bits, or an error that names the column."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaptvae import InputError
from aaptvae.tables import as_table

NAMES = tuple("abcdefgh")
X = np.random.default_rng(0).standard_normal((3, len(NAMES))).astype(np.float32)
ORDERS = st.permutations(NAMES)
DRAWN = 10_000 if "CI" in os.environ else 3_000
TABLES = 50  # of one example: drawing one by hypothesis takes longer than reading it


@settings(max_examples=DRAWN // TABLES, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_any_order_gives_equal_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(TABLES):
        order, dropped = rng.permutation(NAMES).tolist(), set(rng.choice(NAMES, rng.integers(3)).tolist())
        check_order(order, dropped, str(rng.choice(["", "id", "a "])))


def check_order(order: list[str], dropped: set[str], extra: str) -> None:
    table: dict[str, object] = {name: X[:, NAMES.index(name)] for name in order if name not in dropped}
    if extra:
        table[extra] = X[:, 0]
    if not dropped and not extra:
        assert np.array_equal(as_table(table, columns=NAMES).values, X)
        return
    with pytest.raises(InputError) as error:
        as_table(table, columns=NAMES)
    assert all(name in str(error.value) for name in (dropped or {extra}))
    if not dropped:
        assert np.array_equal(as_table(table, columns=NAMES, passthrough=[extra]).values, X)


@settings(max_examples=200, deadline=None)
@given(order=ORDERS, kind=st.sampled_from(["pandas", "polars", "pyarrow"]))
def test_frames_in_any_order_give_equal_numbers(order: list[str], kind: str) -> None:
    package = pytest.importorskip(kind)
    columns = {name: X[:, NAMES.index(name)] for name in order}
    table = package.table(columns) if kind == "pyarrow" else package.DataFrame(columns)
    assert np.array_equal(as_table(table, columns=NAMES).values, X)
    assert np.array_equal(as_table(table, chosen=NAMES[:3]).values, X[:, :3])


@settings(max_examples=200, deadline=None)
@given(order=st.permutations(tuple("abcde")))
def test_a_named_bundle_encodes_equal_bits(named: Path, x: np.ndarray, order: list[str]) -> None:
    vae = _loaded(named)
    table = {name: x[:, "abcde".index(name)] for name in order}
    assert np.array_equal(vae.embed(table), vae.embed(x))


def _loaded(path: Path, held: dict[Path, object] = {}) -> "object":  # noqa: B006 - one bundle for all examples
    import aaptvae  # noqa: PLC0415

    if path not in held:
        held[path] = aaptvae.load(path)
    return held[path]
