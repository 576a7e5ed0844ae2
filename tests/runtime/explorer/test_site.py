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
from aaptvae.conditions import Conditions
from aaptvae.densities import read_densities
from aaptvae.explorer import MapModel, MapRows, Served, Site, find_wasm, heldout_rows, read_table
from aaptvae.explorer.wasm import FILE
from aaptvae.files import Reading

TINY = Path(__file__).parents[1] / "tiny"
GIVEN = Path(__file__).parents[2] / "web/conditional"


@pytest.fixture(scope="module")
def bundle():
    return read_bundle(TINY)


@pytest.fixture(scope="module")
def given_bundle():
    """A bundle of five features, a category and a number."""
    return read_bundle(GIVEN)


def table_of(path: Path, bundle, **options) -> MapRows:
    manifest = bundle.manifest
    means = read_densities(bundle).observation.mean if manifest.missing == "mean" else None
    model = MapModel(manifest.input_dim, manifest.columns, Conditions(manifest.conditions), means)
    return read_table(path, model, Reading(**{key: options.pop(key, ()) for key in ("drop", "ids")}), **options)


def test_missing_values_of_the_map_become_means(filling: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("k,b,a,c,d,e\n1,2,,4,5,6\n1,2,inf,4,5,6\n")
    bundle = read_bundle(filling)
    with pytest.raises(InputError, match="line 3 has inf in column a"):
        table_of(tmp_path / "x.csv", bundle, drop=("k",))
    (tmp_path / "x.csv").write_text("k,b,a,c,d,e\n1,2,,4,5,6\n")
    rows = table_of(tmp_path / "x.csv", bundle, drop=("k",)).rows
    assert np.array_equal(rows[0], np.float32([read_densities(bundle).observation.mean[0], 2, 4, 5, 6]))


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
    files = Site(bundle=bundle, table=table_of(tmp_path / "rows.csv", bundle, label="kind")).files()
    rows = np.load(io.BytesIO(files["rows.npy"]))
    assert rows.dtype == np.float32 and rows.tolist() == [[row, 0, 1, 2, 3] for row in range(4)]
    assert described(files)["labels"] == {"name": "kind", "values": ["k0", "k1", "k0", "k1"]}


def test_ids_name_rows_of_the_file(bundle, tmp_path) -> None:
    lines = ["id,a,b,c,d,e,kind", *(f"{row + 7},{row},0,1,2,3,k{row % 2}" for row in range(3))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    table = table_of(tmp_path / "rows.csv", bundle, label="kind", ids=("id", "kind"))
    shown = described(Site(bundle=bundle, table=table).files())["ids"]
    assert shown == [{"name": "id", "values": ["7", "8", "9"]}, {"name": "kind", "values": ["k0", "k1", "k0"]}]
    assert described(Site(bundle=bundle).files())["ids"] is None


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
        table_of(tmp_path / "none.npy", bundle)


def test_rows_of_a_file_have_their_conditions(given_bundle, tmp_path) -> None:
    lines = ["a,b,c,d,e,kind,age", *(f"{row},0,1,2,3,{'ab'[row % 2]},{40 + 10 * row}" for row in range(3))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    table = table_of(tmp_path / "rows.csv", given_bundle, label="kind")
    c = [[1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 0, 2]]
    assert table.c is not None and table.c.tolist() == c and list(table.labels) == ["a", "b", "a"]
    files = Site(bundle=given_bundle, table=table).files()
    assert np.load(io.BytesIO(files["conditions.npy"])).tolist() == c and described(files)["conditions"] == "conditions.npy"
    assert np.load(io.BytesIO(files["rows.npy"])).shape == (3, 5)
    np.save(tmp_path / "rows.npy", table.rows)
    fixed = table_of(tmp_path / "rows.npy", given_bundle, condition={"kind": "c", "age": "50"})
    assert fixed.c is not None and fixed.c.tolist() == [[0, 0, 1, 1]] * 3


def test_held_out_rows_are_followed_by_conditions() -> None:
    table = heldout_rows(np.arange(14, dtype=np.float32).reshape(2, 7), 5)
    assert table.rows.tolist() == [[0, 1, 2, 3, 4], [7, 8, 9, 10, 11]]
    assert table.c is not None and table.c.tolist() == [[5, 6], [12, 13]]
    assert heldout_rows(table.rows, 5).c is None


def test_conditions_that_do_not_fit_are_refused(bundle, given_bundle, tmp_path) -> None:
    rows = np.zeros((2, 5), np.float32)
    with pytest.raises(InputError, match=r"conditions of the map's rows are none: expected c \[2, 4\]"):
        Site(bundle=given_bundle, table=MapRows(rows))
    with pytest.raises(InputError, match=r"array of shape \(2, 1\): expected c \[2, 0\]"):
        Site(bundle=bundle, table=MapRows(rows, c=rows[:, :1]))
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(InputError, match="this bundle takes no condition"):
        table_of(tmp_path / "rows.npy", bundle, condition={"kind": "a"})
    with pytest.raises(InputError, match="condition kind is 'z': expected one of a, b, c"):
        table_of(tmp_path / "rows.npy", given_bundle, condition={"kind": "z", "age": "1"})
    with pytest.raises(InputError, match=r"rows\.npy has no column kind"):
        table_of(tmp_path / "rows.npy", given_bundle)


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
