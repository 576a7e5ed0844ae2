"""Calls that both runtimes refuse, as JSON can hold them: bundle, method, arguments and options by Python's names.

Text with # in front is a number that JSON lacks. The sentences of Python go to runtime/web/test/refusals.json; the tests in
JavaScript make the same calls and compare.
"""

from pathlib import Path
from typing import Any

import numpy as np

import aaptvae

ROOT = Path(__file__).parents[2]
FOLDERS = {"tiny": "tests/runtime/tiny", "digits": "artifacts/digits", "schema1": "tests/fixtures/schema1/bundle"}
NUMBERS = {"#nan": float("nan"), "#inf": float("inf"), "#2**64": 2**64}

ROW, ROWS, PIXELS = [0.0] * 5, [[0.0] * 5] * 2, [[0.5] * 12] * 2
GIVEN = {"kind": "a", "age": 40}


def _lost(row: list[float], place: int, value: Any) -> list[Any]:
    return [*row[:place], value, *row[place + 1 :]]


def _under(condition: Any) -> tuple[str, str, list[Any], dict[str, Any]]:
    return "conditional", "embed", [ROWS], {"condition": condition}


Call = tuple[str, str, list[Any], dict[str, Any]]
CALLS: list[Call] = [
    # rows
    ("tiny", "embed", [[[1, 2]]], {}),
    ("tiny", "embed", [[ROW, [1, 2]]], {}),
    ("tiny", "embed", [ROW], {}),
    ("tiny", "encode", [[ROW, _lost(ROW, 2, "#nan")]], {}),
    ("tiny", "score", [[ROW, _lost(ROW, 2, "#inf")]], {}),
    ("tiny", "embed", [[_lost(ROW, 1, 1e39)]], {}),
    ("tiny", "reconstruct", [[ROW, _lost(ROW, 1, 3e38)]], {}),
    ("tiny", "score", [[ROW, _lost(ROW, 1, 3e38)]], {}),
    ("tiny", "decode", [[[0, 0], [3e38, 3e38]]], {}),
    ("tiny", "decode", [[[0, 0, 0]]], {}),
    ("tiny", "decode", [[["#nan", 0]]], {}),
    ("named", "embed", [[_lost(PIXELS[0], 4, "#inf")]], {"condition": GIVEN}),
    ("named", "reconstruct", [[_lost(PIXELS[0], 5, 1e39)]], {"condition": GIVEN}),
    ("named", "score", [[_lost(PIXELS[0], 0, 2)]], {"condition": GIVEN}),
    ("named", "log_likelihood", [[_lost(PIXELS[0], 0, -0.25)]], {"condition": GIVEN}),
    # views
    ("tiny", "embed", [ROWS], {"view": "metric"}),
    ("digits", "embed", [[[0] * 64]], {"view": "other"}),
    ("digits", "decode", [[[0] * 16]], {"view": "similarity"}),
    ("digits", "decode", [[[0] * 16]], {"view": "other"}),
    ("digits", "decode", [[[0] * 15]], {"view": "metric"}),
    ("digits", "decode", [[_lost([0] * 16, 3, "#nan")]], {"view": "metric"}),
    # draws
    *[("tiny", "sample", [n], {}) for n in (-1, 1.5, "3", True, None)],
    *[("tiny", "sample", [1], {"seed": seed}) for seed in (-1, 1.5, "7", True, "#2**64")],
    *[("tiny", "sample", [1], {"seed": 0, "temperature": t}) for t in (-1, 2000000, "#nan", "#inf", "1", None)],
    *[("tiny", "sample", [1], {"prior": prior}) for prior in ("flat", None)],
    ("tiny", "sample", [1], {"as_observed": True}),
    ("schema1", "sample", [1], {"as_observed": True, "observation_noise": True}),
    ("tiny", "reparameterize", [[[0, 0]], [[0, 0], [0, 0]]], {}),
    ("tiny", "reparameterize", [[[0, 0]], [[0, 0, 0]]], {}),
    ("tiny", "reparameterize", [[[0, 0]], [[0, 0]]], {"seed": -1}),
    ("tiny", "reparameterize", [[[0, 0]], [[500, 0]]], {"seed": 1}),
    # scores
    *[("tiny", "score", [ROWS], {"pairs": pairs}) for pairs in (0, 1.5, "2", True)],
    *[("tiny", "log_likelihood", [ROWS], {"samples": samples}) for samples in (0, -1, 2.5, True, None)],
    ("tiny", "log_likelihood", [ROWS], {"prior": "flat"}),
    ("tiny", "log_likelihood", [ROWS], {"seed": 1.5}),
    # paths
    *[("tiny", "interpolate", [ROWS, ROWS], {"steps": steps}) for steps in (0, 1.5, True, "8")],
    *[("tiny", "interpolate", [ROWS, ROWS], {"path": path}) for path in ("arc", None)],
    ("tiny", "interpolate", [ROWS, [ROW]], {}),
    ("tiny", "interpolate", [ROWS, [[0, 0]]], {}),
    ("tiny", "interpolate", [[ROW, _lost(ROW, 1, 3e38)], ROWS], {}),
    # conditions
    ("tiny", "sample", [1], {"condition": {"kind": "a"}}),
    ("tiny", "decode", [[[0, 0]]], {"condition": GIVEN}),
    ("conditional", "embed", [ROWS], {}),
    ("conditional", "sample", [2], {"seed": 1}),
    ("conditional", "interpolate", [ROWS, ROWS], {}),
    _under({"kind": "a"}),
    _under({"age": 1}),
    _under({**GIVEN, "kind": "z"}),
    _under({**GIVEN, "kind": 1.5}),
    _under({**GIVEN, "kind": None}),
    _under({**GIVEN, "kind": ["a"]}),
    _under({**GIVEN, "kind": ["a", "z"]}),
    _under({**GIVEN, "age": "old"}),
    _under({**GIVEN, "age": ""}),
    _under({**GIVEN, "age": "1_000"}),
    _under({**GIVEN, "age": "0x10"}),
    _under({**GIVEN, "age": "#nan"}),
    _under({**GIVEN, "age": 1e300}),
    _under({**GIVEN, "age": None}),
    _under({**GIVEN, "age": [1, None]}),
    _under({**GIVEN, "age": [1, 2, 3]}),
    _under({**GIVEN, "sex": "f"}),
    _under("a"),
    _under(3),
    _under([[0, 0, 0], [0, 0, 0]]),
    _under([[0, 0, 0, 0]] * 3),
    _under([[0, 0, 0, "#nan"]]),
]


def _given(value: Any) -> Any:
    """The value with the numbers that JSON lacks; rows of equal length as an array."""
    if isinstance(value, str):
        return NUMBERS.get(value, value)
    if isinstance(value, dict):
        return {key: _given(entry) for key, entry in value.items()}
    if not isinstance(value, list):
        return value
    held = [_given(entry) for entry in value]
    nested = all(isinstance(row, np.ndarray | list) for row in held) and len({len(row) for row in held}) == 1
    numbers = all(isinstance(entry, int | float) for entry in held)
    return np.array(held, np.float64) if nested or numbers else held


def refusals() -> list[dict[str, Any]]:
    """Each call with the sentence of Python."""
    bundles = {name: aaptvae.load(ROOT / FOLDERS.get(name, f"tests/web/{name}")) for name in {call[0] for call in CALLS}}
    found = []
    for name, method, arguments, options in CALLS:
        try:
            getattr(bundles[name], method)(*map(_given, arguments), **_given(options))
        except aaptvae.InputError as error:
            call = {"bundle": name, "method": method, "arguments": arguments, "options": options}
            found.append({**call, "folder": FOLDERS.get(name, f"tests/web/{name}"), "words": str(error)})
            continue
        raise AssertionError(f"{name}.{method}({arguments}, {options}) is not refused")
    return found
