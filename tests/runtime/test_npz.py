"""Arrays as bytes: the same in, the same out, and nothing else is read."""

import io
import zipfile

import numpy as np
import pytest

from aaptvae import BundleError
from aaptvae.npz import read_npz, write_npz

ARRAYS = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([1, 2], np.int64), "empty": np.zeros((0, 4), np.float32)}
EXPECTED = {"a": 1, "b": 2, "empty": 2}


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as file:
        for name, body in members.items():
            file.writestr(name, body)
    return data.getvalue()


def member(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    data = io.BytesIO()
    np.lib.format.write_array(data, array, allow_pickle=allow_pickle)
    return data.getvalue()


def header(text: str, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + body


def test_arrays_come_back_as_they_were_and_numpy_reads_them_too() -> None:
    data = write_npz(ARRAYS)
    back = read_npz(data, "x.npz", EXPECTED)
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        for name, array in ARRAYS.items():
            assert back[name].dtype == array.dtype and np.array_equal(back[name], array)
            assert np.array_equal(file[name], array)


def test_the_same_arrays_in_any_order_give_the_same_bytes() -> None:
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
        (header(FLOATS % "(True,)", b"1234"), "no .npy of ours"),
        (header(FLOATS % "(0, 1180591620717411303424)"), "no .npy of ours"),
        (header(FLOATS % "(-1, -1)", b"1234"), "no .npy of ours"),
        (header(FLOATS % "(1,)", b"12345"), "over 5 bytes"),
        (header(FLOATS % "('a',)", b"1234"), "no .npy of ours"),
        (header("__import__('os').getpid()"), "no .npy of ours"),
        (header("(" * 3000), "no .npy of ours"),
        (header("{'descr': '<f4', 'shape': (1,), }", b"1234"), "no .npy of ours"),
        (header(" " * 60000), "no .npy of ours"),
        (b"\x93NUMPY\x02\x00" + b"\0" * 50, "no .npy of ours"),
        (b"", "no .npy of ours"),
        (member(np.ones(3))[:-1], "over 23 bytes"),
    ],
)
def test_a_member_that_write_npz_would_not_write_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        read_npz(archive({"a.npy": body}), "x.npz", {"a": 1})


@pytest.mark.parametrize("names", [[], ["a.npy", "b.npy"], ["b.npy"], ["a"], ["a.npy.npy"]])
def test_arrays_missing_or_nobody_asked_for_are_refused(names: list[str]) -> None:
    with pytest.raises(BundleError, match=r"expected \['a'\]"):
        read_npz(archive({name: member(np.ones(3)) for name in names}), "x.npz", {"a": 1})


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a readable zip"),
        (b"PK\x05\x06" + b"\xff" * 18, "not a readable zip"),
        (write_npz(ARRAYS)[:-1], "not a readable zip"),
        (write_npz(ARRAYS)[:100], "not a readable zip"),
        (write_npz(ARRAYS).replace(np.arange(6.0).tobytes(), b"\1" * 48), "not a readable zip"),
        (archive({"../a.npy": b""}), "plain names"),
        (archive({"/etc/passwd": b""}), "plain names"),
        (archive({"folder/": b""}), "plain names"),
        (archive({"-a.npy": b""}), "plain names"),
        (archive({str(n): b"" for n in range(65)}), "65 members"),
        (archive({"a.npy": bytes(10_000_000)}, zipfile.ZIP_DEFLATED), "unpacks to 10000000 bytes"),
        (archive({"a.npy": member(np.ones(3))}, zipfile.ZIP_BZIP2), "packed by method 12"),
    ],
)
def test_a_hostile_zip_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        read_npz(data, "x.npz", EXPECTED)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_name_twice_or_a_link_is_refused() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("a.npy", b"1")
        file.writestr("a.npy", b"2")
    with pytest.raises(BundleError, match="one twice"):
        read_npz(data.getvalue(), "x.npz", {"a": 1})
    link = zipfile.ZipInfo("a.npy")
    link.external_attr = 0o120777 << 16
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(link, b"/etc/passwd")
    with pytest.raises(BundleError, match="plain, unencrypted files"):
        read_npz(data.getvalue(), "x.npz", {"a": 1})
