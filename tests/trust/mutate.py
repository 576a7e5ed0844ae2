"""Changes to bytes for the fuzzers: anywhere, and following the structure of JSON, zip archives, arrays and protobuf."""

import io
import json
import math
import random
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

TOKENS = [
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\xff" * 9 + b"\x01",
    b"\x80" * 12,
    b"9" * 25,
    b"-1",
    b"1e999",
    b"nan",
    b"NaN",
    b"(",
    b"[",
    b"{",
    b'"',
    b"'",
    b",",
    b"\n",
    b"\r",
    b"null",
    b"true",
    b"|O",
    b"True",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"\x93NUMPY",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"[" * 3000,
    b"{'a':" * 300,
    b"../",
    b"\x1b[",
]
NUMBERS = [
    0,
    1,
    -1,
    2,
    3,
    20,
    255,
    1 << 20,
    1 << 31,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    1 << 64,
    -(1 << 63),
    0.5,
    -0.0,
    1e-320,
    1e308,
    1e15,
    math.inf,
    math.nan,
]
TEXTS = ["", "a", "fp32", "mu", "\ud800", "\0", "a" * 300, "../x", "1", "Gemm", "manifest.json", "\x1b[2J", "0" * 64, "é"]

Mutator = Callable[[bytes, random.Random], bytes]


def anywhere(data: bytes, choose: random.Random) -> bytes:
    """A few bytes changed, taken out, put in, said twice or cut off."""
    for _ in range(choose.choice((1, 1, 1, 2, 4))):
        at = choose.randrange(len(data) + 1)
        end = min(len(data), at + choose.choice((0, 1, 1, 2, 4, 8, 100)))
        kind = choose.randrange(8)
        if kind < 3:
            data = data[:at] + bytes([choose.randrange(256)]) + data[at + 1 :]
        elif kind < 5:
            data = data[:at] + choose.choice(TOKENS) + data[end:]
        elif kind == 5:
            data = data[:at] + data[end:]
        elif kind == 6:
            data = data[:end] + data[at:]
        elif choose.random() < 0.3:
            data = data[:at]
    return data


def in_json(data: bytes, choose: random.Random) -> bytes:
    """One value of a document replaced, dropped, repeated or moved; what is no JSON is changed anywhere."""
    try:
        document = json.loads(data)
        for _ in range(choose.choice((1, 1, 2))):
            holder, key = choose.choice(list(_places(document)))
            _alter(holder, key, choose)
        return json.dumps(document, ensure_ascii=choose.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, IndexError, RecursionError):
        return anywhere(data, choose)


def _places(value: Any) -> Any:
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(held):
        yield value, key
        yield from _places(inner)


def _alter(holder: Any, key: Any, choose: random.Random) -> None:
    kind = choose.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[choose.choice(TEXTS)] = holder[key]
    elif kind == 2:
        holder[key] = [holder[key]] * choose.choice((1, 2, 70))
    elif kind == 3:
        holder[key] = {choose.choice(TEXTS): holder[key]}
    elif kind == 4 and isinstance(holder[key], list):
        holder[key] = holder[key][::-1] + holder[key][:1]
    else:
        holder[key] = choose.choice([*NUMBERS, *TEXTS, None, True, [], {}])


def in_zip(change: Callable[[str, bytes, random.Random], bytes]) -> Mutator:
    """One member changed and the archive made again with the right checksums, or the archive changed anywhere."""

    def mutate(data: bytes, choose: random.Random) -> bytes:
        if choose.random() < 0.3:
            return anywhere(data, choose)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = [(name, archive.read(name)) for name in archive.namelist()]
        except Exception:  # what was changed before need not be an archive any more
            return anywhere(data, choose)
        at = choose.randrange(len(members) or 1)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", choose.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for number, (name, body) in enumerate(members):
                archive.writestr(zipfile.ZipInfo(name), change(name, body, choose) if number == at else body)
        return made.getvalue()

    return mutate


def in_npy(_: str, data: bytes, choose: random.Random) -> bytes:
    """An array of other numbers, another shape or another type; or its bytes changed anywhere."""
    if choose.random() < 0.4:
        return anywhere(data, choose)
    try:
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception:
        return anywhere(data, choose)
    kind = choose.randrange(5)
    with np.errstate(all="ignore"):
        if kind == 0:
            array = array.reshape(choose.choice([(-1,), (1, -1), (-1, 1), (1, *array.shape)]))
        elif kind == 1:
            array = array[: choose.randrange(3)] if array.ndim else array
        elif kind == 2 and array.size:
            number = choose.choice(NUMBERS)
            array = np.array(array)
            place = choose.randrange(array.size)
            array.flat[place] = number if array.dtype.kind == "f" else int(np.clip(np.nan_to_num(number), -9, 9))
        elif kind == 3:
            array = np.nan_to_num(array).astype(choose.choice(("<f4", "<f8", "<i8", ">f4", "<f2", "bool", "U3")))
        else:
            shape = choose.choice([(), (0,), (1,), (2, 2), (2, 2, 2), (0, 5), (1, 0, 0)])
            array = np.full(shape, choose.choice((0.0, 1.0, 1e300)))
    made = io.BytesIO()
    np.lib.format.write_array(made, array, allow_pickle=False)
    return made.getvalue()


Fields = list[tuple[int, int, Any]]


def in_protobuf(data: bytes, choose: random.Random) -> bytes:
    """One field somewhere in a message dropped, repeated, moved or filled with something else; lengths stay right."""
    if choose.random() < 0.2:
        return anywhere(data, choose)
    fields = _fields(data)
    if not fields:
        return anywhere(data, choose)
    at = choose.randrange(len(fields))
    number, wire, value = fields[at]
    if wire == 2 and choose.random() < 0.75 and _fields(value):
        fields[at] = number, wire, in_protobuf(value, choose)
        return _joined(fields)
    kind = choose.randrange(7)
    if kind == 0:
        del fields[at]
    elif kind == 1:
        fields.insert(choose.randrange(len(fields) + 1), fields[at])
    elif kind == 2:
        other = choose.randrange(len(fields))
        fields[at], fields[other] = fields[other], fields[at]
    elif kind == 3:
        fields[at] = choose.choice((number + 1, choose.randrange(1, 40))), wire, value
    elif wire == 0:
        fields[at] = number, wire, choose.choice((0, 1, 2, 10, 20, 1 << 31, (1 << 64) - 1, 1 << 62, choose.randrange(300)))
    elif wire == 2:
        others = [held for _, kind, held in fields if kind == 2]
        text = choose.choice((b"x", b"mu", b"logvar", b"enc.w", b"enc.b", b"Relu", b"Gemm", b"Identity", b"Add", b"Exp", b""))
        fields[at] = number, wire, choose.choice((text, text, choose.choice(others), anywhere(value, choose)))
    return _joined(fields)


def _fields(data: bytes) -> Fields:
    """Fields of a message; none if it is no message."""
    fields: Fields = []
    at = 0
    try:
        while at < len(data):
            tag, at = _number(data, at)
            value: Any
            value, at = _number(data, at)
            if tag & 7 == 2:
                value, at = data[at : at + value], at + value
            elif tag & 7 != 0:
                return []
            if not tag >> 3 or at > len(data):
                return []
            fields.append((tag >> 3, tag & 7, value))
    except IndexError:
        return []
    return fields


def _joined(fields: Fields) -> bytes:
    parts = []
    for number, wire, value in fields:
        parts.append(_varint(number << 3 | wire) + (_varint(len(value)) + value if wire == 2 else _varint(value)))
    return b"".join(parts)


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value, shift, at = value | (data[at] & 0x7F) << shift, shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    parts = b""
    while value > 0x7F:
        value, parts = value >> 7, parts + bytes([value & 0x7F | 0x80])
    return parts + bytes([value])
