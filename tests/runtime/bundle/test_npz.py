"""Arrays as bytes: the same in, the same out, and nothing else is read."""

import io
import zipfile

import numpy as np
import pytest

from aaptvae import BundleError
from aaptvae.bundle.npz import read_npz, write_npz

ARRAYS = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([1, 2], np.int64), "empty": np.zeros((0, 4), np.float32)}
EXPECTED = {"a": 1, "b": 2, "empty": 2}


def archive(members: dict[str, bytes], **changes: int) -> bytes:
    """A zip of these members as numpy would write it; `changes` are attributes of every member."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, body in members.items():
            info = zipfile.ZipInfo(name)
            for key, value in changes.items():
                setattr(info, key, value)
            file.writestr(info, body)
    return data.getvalue()


def member(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    data = io.BytesIO()
    np.lib.format.write_array(data, array, allow_pickle=allow_pickle)
    return data.getvalue()


def header(text: str, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + body


def test_arrays_round_trip_and_numpy_reads_them() -> None:
    data = write_npz(ARRAYS)
    back = read_npz(data, "x.npz", EXPECTED)
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        for name, array in ARRAYS.items():
            assert back[name].dtype == array.dtype and np.array_equal(back[name], array)
            assert np.array_equal(file[name], array)


def test_the_order_of_arrays_does_not_matter() -> None:
    assert write_npz(ARRAYS) == write_npz(dict(sorted(ARRAYS.items())))


def test_an_optional_array_may_be_there_or_not() -> None:
    data = write_npz(ARRAYS)
    assert "b" in read_npz(data, "x.npz", {"a": 1, "empty": 2}, {"b": 2})
    assert "c" not in read_npz(data, "x.npz", EXPECTED, {"c": 2})


FLOATS = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (member(np.array([None, 1], object), allow_pickle=True), "declares object"),
        (member(np.ones(3, np.float16)), "declares float16"),
        (member(np.ones(3, ">f4")), "declares >f4"),
        (member(np.ones(3, bool)), "declares bool"),
        (member(np.ones(3, "U3")), "declares <U3"),
        (member(np.array([1, np.nan])), "finite"),
        (member(np.ones((2, 2))), r"shape \(2, 2\): expected 1 dimensions"),
        (member(np.asfortranarray(np.ones((2, 2)))), "declares"),
        (header(FLOATS % "(1099511627776,)", b"1234"), r"\(1099511627776,\) over 4 bytes"),
        (header(FLOATS % "(18446744073709551617,)", b"1234"), "over 4 bytes"),
        (header(FLOATS % "(-1,)", b"1234"), "over 4 bytes"),
        (header(FLOATS % "(True,)", b"1234"), "a wrong .npy header"),
        (header(FLOATS % "(0, 1180591620717411303424)"), "a wrong .npy header"),
        (header(FLOATS % "(-1, -1)", b"1234"), "a wrong .npy header"),
        (header(FLOATS % "(1,)", b"12345"), "over 5 bytes"),
        (header(FLOATS % "('a',)", b"1234"), "a wrong .npy header"),
        (header("__import__('os').getpid()"), "a wrong .npy header"),
        (header("(" * 3000), "a wrong .npy header"),
        (header("{'descr': '<f4', 'shape': (1,), }", b"1234"), "a wrong .npy header"),
        (header(" " * 60000), "a wrong .npy header"),
        (b"\x93NUMPY\x02\x00" + b"\0" * 50, "a wrong .npy header"),
        (b"", "a wrong .npy header"),
        (member(np.ones(3))[:-1], "over 23 bytes"),
    ],
)
def test_other_encodings_of_members_are_refused(body: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        read_npz(archive({"a.npy": body}), "x.npz", {"a": 1})


@pytest.mark.parametrize("names", [[], ["a.npy", "b.npy"], ["b.npy"], ["a"], ["a.npy.npy"]])
def test_arrays_missing_or_nobody_asked_for_are_refused(names: list[str]) -> None:
    with pytest.raises(BundleError, match=r"expected \['a'\]"):
        read_npz(archive({name: member(np.ones(3)) for name in names}), "x.npz", {"a": 1})


ONE = {"a.npy": member(np.ones(3))}
WHOLE = write_npz({"a": np.ones(3)})


def test_an_npz_equals_the_one_of_zipfile() -> None:
    assert archive({f"{name}.npy": member(ARRAYS[name]) for name in sorted(ARRAYS)}) == write_npz(ARRAYS)
    assert read_npz(archive(ONE), "x.npz", {"a": 1})["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06" + b"\xff" * 18,
        WHOLE + b"\0",
        b"\0" + WHOLE,
        WHOLE[: len(WHOLE) // 2],
        WHOLE.replace(np.ones(3).tobytes(), np.zeros(3).tobytes()),
        archive({"a.npy": bytes(10_000_000)}, compress_type=zipfile.ZIP_DEFLATED),
        archive(ONE, compress_type=zipfile.ZIP_BZIP2),
        archive(ONE, external_attr=0o120777 << 16),
        archive(ONE, extra=b"abcd\0\0"),
        archive(ONE, comment=b"hello"),
        archive({f"{n:03}.npy": b"" for n in range(65)}),
    ],
)
def test_a_zip_spelt_in_another_way_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"has a wrong (header|central directory|.npy header)"):
        read_npz(data, "x.npz", {"a": 1})


def test_every_byte_of_an_npz_is_checked() -> None:
    for place in range(len(WHOLE)):
        for flipped in (WHOLE[:place] + bytes([WHOLE[place] ^ 1]) + WHOLE[place + 1 :], WHOLE[:place]):
            with pytest.raises(BundleError):
                read_npz(flipped, "x.npz", {"a": 1})


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for body in (*ONE.values(), member(np.zeros(3))):
            file.writestr(zipfile.ZipInfo("a.npy"), body)
    with pytest.raises(BundleError, match=r"has a wrong (header|central directory|.npy header)"):
        read_npz(data.getvalue(), "x.npz", {"a": 1})
