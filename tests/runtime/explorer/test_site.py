"""The folder of an explorer: the page, the bundle byte for byte, rows, and where onnxruntime comes from."""

import hashlib
import http.client
import io
import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from aaptvae import InputError
from aaptvae.bundle import read_bundle
from aaptvae.explorer import MapRows, Served, Site, find_wasm, read_table
from aaptvae.explorer.wasm import FILE

TINY = Path(__file__).parents[1] / "tiny"


@pytest.fixture(scope="module")
def bundle():
    return read_bundle(TINY)


def described(files: dict[str, bytes]) -> dict:
    return json.loads(files["explorer.json"])


def test_the_page_is_installed_and_small(bundle) -> None:
    files = Site(bundle=bundle).files()
    page = [data for name, data in files.items() if name.endswith((".html", ".js", ".css"))]
    assert len(page) == 3 and sum(map(len, page)) < 1_000_000
    assert b"./explorer.js" in files["index.html"]


def test_the_bundle_is_copied_byte_for_byte(bundle) -> None:
    files = Site(bundle=bundle).files()
    assert files["bundle/manifest.json"] == (TINY / "manifest.json").read_bytes()
    assert described(files)["sha256"] == hashlib.sha256(files["bundle/manifest.json"]).hexdigest()


def test_rows_and_labels_are_those_of_the_file(bundle, tmp_path) -> None:
    lines = ["a,b,c,d,e,kind", *(f"{row},0,1,2,3,k{row % 2}" for row in range(4))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    files = Site(bundle=bundle, table=read_table(tmp_path / "rows.csv", bundle, "kind")).files()
    rows = np.load(io.BytesIO(files["rows.npy"]))
    assert rows.dtype == np.float32 and rows.tolist() == [[row, 0, 1, 2, 3] for row in range(4)]
    assert described(files)["labels"] == {"name": "kind", "values": ["k0", "k1", "k0", "k1"]}


def test_numeric_labels_stay_numbers(bundle) -> None:
    table = MapRows(np.zeros((2, 5), np.float32), "year", np.array(["2020", "2021.5"]))
    assert described(Site(bundle=bundle, table=table).files())["labels"]["values"] == [2020, 2021.5]


def test_without_a_copy_the_network_is_named(bundle) -> None:
    files = Site(bundle=bundle).files()
    place = described(files)["wasm"]
    assert place["url"].startswith("https://cdn.jsdelivr.net/npm/onnxruntime-web@") and place["integrity"].startswith("sha256-")
    assert FILE not in files and b"connect-src 'self' https://cdn.jsdelivr.net;" in files["index.html"]


def test_with_a_copy_no_other_origin_is_allowed(bundle) -> None:
    files = Site(bundle=bundle, wasm=b"wasm").files()
    assert files[FILE] == b"wasm" and described(files)["wasm"]["url"] == FILE
    assert b"connect-src 'self';" in files["index.html"] and not re.search(rb"https?://", files["index.html"])


def test_another_wasm_is_refused(tmp_path) -> None:
    (tmp_path / FILE).write_bytes(b"other")
    with pytest.raises(InputError, match=r"is not ort-wasm-simd-threaded\.wasm of onnxruntime-web"):
        find_wasm(tmp_path / FILE)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"image_shape": (2, 2)}, "expected a product of 5"), ({"precision": "int8"}, "expected fp32, as in this bundle")],
)
def test_options_that_do_not_fit_are_refused(bundle, options, words) -> None:
    with pytest.raises(InputError, match=words):
        Site(bundle=bundle, **options)


def test_an_empty_table_is_refused(bundle, tmp_path) -> None:
    np.save(tmp_path / "none.npy", np.zeros((0, 5), np.float32))
    with pytest.raises(InputError, match="has no rows: expected one or more"):
        read_table(tmp_path / "none.npy", bundle)


def test_a_folder_is_replaced_only_if_it_is_an_explorer(bundle, tmp_path) -> None:
    site = Site(bundle=bundle)
    site.write(tmp_path / "site")
    assert (tmp_path / "site/bundle/manifest.json").is_file()
    site.write(tmp_path / "site", force=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    with pytest.raises(InputError, match=r"holds no explorer\.json"):
        site.write(tmp_path / "other", force=True)


def test_only_this_machine_and_known_files_are_served() -> None:
    with Served({"index.html": b"page", "bundle/x": b"data"}) as served:
        thread = threading.Thread(target=served.run)
        thread.start()
        host = served.address.removeprefix("http://").rstrip("/")
        try:
            assert host.startswith("127.0.0.1:")
            for path, own, status, body in [
                ("/", host, 200, b"page"),
                ("/bundle/x?y", host, 200, b"data"),
                ("/../etc/passwd", host, 404, b""),
                ("/", "elsewhere.example:80", 404, b""),
            ]:
                connection = http.client.HTTPConnection(host)
                connection.request("GET", path, headers={"Host": own})
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (status, body)
                connection.close()
        finally:
            served.stop()
            thread.join()
