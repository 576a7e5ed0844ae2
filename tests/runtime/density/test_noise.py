"""Row i of seeded noise depends on the seed, the stream, i and the width: on nothing else, in any process."""

import hashlib

import numpy as np
import pytest

from aaptvae import InputError
from aaptvae.density.noise import Stream, normal_rows, resolve_seed, uniform_rows


@pytest.mark.parametrize("draw", [normal_rows, uniform_rows])
@pytest.mark.parametrize("width", [1, 2, 5, 64])
def test_any_slice_equals_rows_of_the_whole(draw: type, width: int) -> None:
    whole = draw(7, 0, 300, width, Stream.LATENT)
    for start, stop in [(0, 1), (0, 64), (63, 65), (64, 128), (100, 299), (17, 17), (299, 300)]:
        assert np.array_equal(draw(7, start, stop, width, Stream.LATENT), whole[start:stop])


def test_seeds_and_streams_have_nothing_in_common() -> None:
    draws = [normal_rows(seed, 0, 4096, 1, stream)[:, 0] for seed in (0, 1, 2**64 - 1) for stream in Stream]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.07


def test_normal_and_uniform_rows_have_their_distributions() -> None:
    normal = normal_rows(3, 0, 20_000, 4, Stream.LATENT)
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01 and abs((normal**4).mean() - 3) < 0.1
    uniform = uniform_rows(3, 0, 20_000, 4, Stream.COMPONENT)
    assert abs(uniform.mean() - 0.5) < 0.01 and uniform.min() >= 0 and uniform.max() < 1
    assert abs(np.corrcoef(normal[:-1, 0], normal[1:, 0])[0, 1]) < 0.03


def test_the_random_sequence_is_pinned() -> None:
    digest = hashlib.sha256(normal_rows(0, 0, 1000, 16, Stream.LATENT).tobytes()).hexdigest()
    assert digest == "d07768f34f9f6738c174d29189b67dc61b8981bf93b5c2133cdcfb26dbe53994"


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7", True, [1]])
def test_an_invalid_seed_is_refused(seed: object) -> None:
    with pytest.raises(InputError, match="expected an integer from 0 to"):
        resolve_seed(seed)  # type: ignore[arg-type]


def test_seeds_may_be_none_or_numpy_integers() -> None:
    assert resolve_seed(None) != resolve_seed(None)
    assert resolve_seed(np.int64(7)) == 7 == resolve_seed(np.uint64(7))
