"""Whatever is passed from Python, arrays or configurations, the outcome is a result or an `AaptvaeError`."""

import contextlib
import os
import warnings
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import aaptvae
from aaptvae.errors import AaptvaeError, InputError
from aaptvae_training.config import KEYS, TrainConfig, make_config

from .faults import TINY

EXAMPLES = 150 if "CI" in os.environ else 40
SLOW = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

TYPES = arrays.scalar_dtypes() | arrays.array_dtypes(max_size=2)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7) | st.sampled_from([(1, 5), (3, 5), (0, 5), (2, 2)])
VALUES = st.one_of(
    arrays.arrays(TYPES, SHAPES),
    arrays.arrays(st.sampled_from(["f4", "f8", ">f4", "f2", "i8", "u1"]), st.sampled_from([(1, 5), (2, 2), (300, 5)])),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=9,
    ),
)
NAMES = st.sampled_from(["learned", "optimal", "student", "gaussian", "bernoulli", "auto", "cpu"])
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), NAMES, st.lists(st.integers(), max_size=4)
)


@pytest.fixture(scope="module")
def vae() -> aaptvae.VAE:
    return aaptvae.load(TINY)


RAGGED = [{"": [None, []]}, {"a": [[1.0, 2.0], [3.0]]}, {"a": [[[1.0], [2.0, 3.0]]]}, [None, []], {"a": [{}, []], "b": [1, 2]}]


@pytest.mark.parametrize("x", RAGGED, ids=str)
def test_sequences_of_several_lengths_are_refused(vae: aaptvae.VAE, x: Any) -> None:
    for verb in ("encode", "decode"):
        with pytest.raises(InputError):
            getattr(vae, verb)(x)
    model = aaptvae.load(TINY.parents[1] / "web/conditional")
    with pytest.raises(InputError):
        model.encode(np.zeros((2, model.input_dim), np.float32), condition={"age": [[1.0], [2.0, 3.0]], "kind": ["a", "b"]})


@SLOW
@given(x=VALUES, verb=st.sampled_from(["encode", "embed", "decode", "reconstruct", "score"]))
def test_any_array_is_computed_or_refused(vae: aaptvae.VAE, x: Any, verb: str) -> None:
    with contextlib.suppress(AaptvaeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers that overflow may say so
        result = getattr(vae, verb)(x)
        assert all(len(part) == len(x) for part in (result if isinstance(result, tuple) else (result,)))


@SLOW
@given(
    n=st.integers(-5, 300) | st.floats() | st.none() | st.booleans() | st.text(max_size=3),
    seed=st.integers(-5, 1 << 70) | st.none() | st.floats() | st.text(max_size=3),
    temperature=st.floats() | st.integers(),
    prior=st.sampled_from(["fitted", "standard", "other", ""]),
)
def test_any_request_for_samples_is_drawn_or_refused(vae: aaptvae.VAE, n: Any, seed: Any, temperature: Any, prior: Any) -> None:
    with contextlib.suppress(AaptvaeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert vae.sample(n, seed=seed, temperature=temperature, prior=prior).shape == (n, 5)


@SLOW
@given(values=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), PLAIN, max_size=6))
def test_any_configuration_is_a_config_or_refused(values: dict[str, Any]) -> None:
    with contextlib.suppress(AaptvaeError):
        config = make_config(values)
        assert msgspec.convert(msgspec.to_builtins(config), TrainConfig) == config
