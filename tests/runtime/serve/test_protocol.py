"""Answers equal the Python API bit for bit; wrong requests get a status and the product's sentence."""

import json
import time

import numpy as np
import pytest
from serving import Client, request, results

import aaptvae


def test_health_metadata_and_index(client: Client) -> None:
    assert client.json("/v2/health/live") == {"live": True}
    assert client.json("/v2/health/ready") == {"ready": True}
    assert client.json("/v2")["extensions"] == ["binary_tensor_data", "model_configuration", "statistics"]
    assert client.json("/v2/models/tiny_encoder/ready") == {"name": "tiny_encoder", "ready": True}
    encoder = client.json("/v2/models/tiny_encoder")
    assert encoder["versions"] == ["1", "2"]
    assert encoder["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 5]}]
    assert [output["name"] for output in encoder["outputs"]] == ["mu", "logvar"]
    assert client.json("/v2/models/tiny_encoder/versions/2")["versions"] == ["2"]
    models = json.loads(client.ask("POST", "/v2/repository/index")[2])
    assert {model["name"] for model in models} >= {f"digits_{verb}" for verb in ("encoder", "decoder", "embed", "score")}
    assert len(models) == 24
    assert client.json("/v2/models/named_score")["parameters"] == {"columns": list("abcde")}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 64, 300])
def test_answers_equal_the_python_api(client: Client, vae: aaptvae.VAE, x: np.ndarray, rows: int, binary: bool) -> None:
    x = x[:rows] if rows else np.empty((0, 5), np.float32)
    mu, logvar = vae.encode(x)
    found = client.infer("tiny_encoder", binary=binary, x=x)
    assert [np.array_equal(a, b) for a, b in zip(found, (mu, logvar), strict=True)] == [True, True]
    for model, outputs, inputs, expected in (
        ("tiny_encoder", ("logvar",), {"x": x}, [logvar]),
        ("tiny_encoder", ("mu",), {"x": x.astype(np.float64)}, [mu]),
        ("tiny_embed", ("mu",), {"x": x}, [mu]),
        ("tiny_decoder", (), {"z": mu}, [vae.decode(mu)]),
        ("tiny_reconstruct", (), {"x": x}, [vae.reconstruct(x)]),
        ("tiny_score", ("elbo", "p_value"), {"x": x}, [vae.score(x).elbo, vae.score(x).p_value]),
    ):
        found = client.infer(model, *outputs, binary=binary, **inputs)
        assert len(found) == len(expected)
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True)), model


@pytest.mark.parametrize("binary", [True, False])
def test_samples_are_those_of_the_seed(client: Client, vae: aaptvae.VAE, binary: bool) -> None:
    n, seed = np.array([9]), np.array([7])
    assert np.array_equal(client.infer("tiny_sample", binary=binary, n=n, seed=seed)[0], vae.sample(9, seed=7))
    later = client.infer("tiny_sample", binary=binary, n=n - 5, seed=seed, first=n - 4)[0]
    assert np.array_equal(later, vae.sample(9, seed=7)[5:])
    options = {"prior": "standard", "temperature": 0.5, "observation_noise": True}
    assert np.array_equal(client.infer("tiny_sample", n=n, seed=seed, parameters=options)[0], vae.sample(9, seed=7, **options))


def test_a_named_version_answers(client: Client, vae: aaptvae.VAE, x: np.ndarray) -> None:
    status, _, body = client.ask("POST", "/v2/models/tiny_encoder/versions/1/infer", request(("mu",), False, {"x": x[:2]})[0])
    answer = json.loads(body)
    assert (status, answer["model_name"], answer["model_version"]) == (200, "tiny_encoder", "1")
    assert np.array_equal(np.float32(answer["outputs"][0]["data"]).reshape(2, -1), vae.embed(x[:2]))


def test_the_id_of_a_request_returns(client: Client) -> None:
    body = {"id": "a7", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 5], "data": [1, 2, 3, 4, 5]}]}
    status, _, answer = client.send("tiny_embed", json.dumps(body).encode())
    assert (status, json.loads(answer)["id"]) == (200, "a7")


def tensor(**fields: object) -> bytes:
    """A request with one input."""
    made = {"name": "x", "datatype": "FP32", "shape": [1, 5], "data": [0, 0, 0, 0, 0]} | fields
    return json.dumps({"inputs": [{key: value for key, value in made.items() if value is not None}]}).encode()


@pytest.mark.parametrize(
    ("model", "body", "sentence"),
    [
        ("embed", tensor(shape=[1, 4], data=[0, 0, 0, 0]), "x has 4 columns: this bundle takes 5"),
        ("embed", tensor(shape=[2, 5], data=[0.0] * 7 + [1e39] + [0.0] * 2), "x has 1e+39 at row 1, column 2"),
        ("embed", tensor(data=[0, None, 0, 0, 0]), "x has nan at row 0, column 1"),
        ("embed", tensor(shape=[2, 5], data=[[0] * 5, [0] * 4]), "data of x is not a list of floats, flat or in rows"),
        ("embed", tensor(data=["1", 0, 0, 0, 0]), "Expected `float | null`, got `str`"),
        ("embed", tensor(shape=[2, 5]), "x has 5 values in shape [5]: expected [2, 5]"),
        ("embed", tensor(shape=[5]), "expected two dimensions [N, 5]"),
        ("embed", tensor(shape=[-1, 5]), "expected one to eight dimensions from 0 up"),
        ("embed", tensor(shape=[1] * 9), "expected one to eight dimensions from 0 up"),
        ("embed", tensor(datatype="BYTES"), "x has datatype 'BYTES': expected one of FP32"),
        ("embed", tensor(name="z"), "tiny_embed has no input z: expected x"),
        ("embed", tensor(data=None), "x has no data: expected a list of floats"),
        ("sample", tensor(name="n", datatype="INT64", shape=[1], data=[3]), "the request lacks the input seed"),
        ("embed", b"{}", "is not JSON of the inference protocol V2"),
        ("embed", b'{"inputs":[]}', "the request lacks the input x"),
        ("embed", b"", "the request has 0 bytes"),
        ("embed", b"\xff" * 9, "is not JSON of the inference protocol V2"),
        ("embed", b"[" * 100_000, "is not JSON of the inference protocol V2"),
    ],
)
def test_wrong_input_is_refused_with_a_sentence(client: Client, model: str, body: bytes, sentence: str) -> None:
    assert sentence in client.refused(400, f"tiny_{model}", body)


def test_wrong_outputs_and_parameters_are_refused(client: Client, x: np.ndarray) -> None:
    def sentence(outputs: tuple[str, ...], **parameters: object) -> str:
        return client.refused(400, "tiny_encoder", *request(outputs, True, {"x": x[:1]}, parameters))

    assert "tiny_encoder has no output nu: expected mu, logvar" in sentence(("nu",))
    assert "asks for an output twice" in sentence(("mu", "mu"))
    assert "tiny_encoder has no parameter heat: expected none" in sentence((), heat=1)
    assert "the request has binary_data_output 'yes': expected true or false" in sentence(("mu",), binary_data_output="yes")
    seeded = {"n": np.array([1]), "seed": np.array([1])}
    for name, value in (
        ("temperature", "hot"),
        ("prior", ["fitted"]),
        ("observation_noise", 1),
        ("as_observed", 1),
        ("as_observed", True),
        ("temperature", -1),
        ("temperature", True),
    ):
        assert f"{name} is" in client.refused(400, "tiny_sample", *request((), True, seeded, {name: value}))
    assert "seed is -1, int64" in client.refused(400, "tiny_sample", *request((), True, seeded | {"seed": np.array([-1])}))
    assert "n is int64" in client.refused(400, "tiny_sample", *request((), True, seeded | {"n": np.array([1, 2])}))


@pytest.mark.parametrize(
    ("place", "parameters", "sentence"),
    [
        ("outputs", {"binary_data": 1}, "mu has binary_data 1: expected true or false"),
        ("outputs", {"classification": 2, "binary_data": True}, "mu has classification: this server gives no classes"),
        ("outputs", {"shared_memory_region": "a"}, "mu has shared_memory_region: this server shares no memory"),
        ("inputs", {"shared_memory_region": "a"}, "x has shared_memory_region: this server shares no memory"),
    ],
)
def test_extensions_of_triton_are_refused(client: Client, place: str, parameters: object, sentence: str) -> None:
    """Ignored, they would give other results than the client asked for."""
    body = json.loads(tensor()) | {"outputs": [{"name": "mu"}]}
    body[place][0]["parameters"] = parameters
    assert sentence in client.refused(400, "tiny_encoder", json.dumps(body).encode())


def test_json_of_half_precision_is_rounded(client: Client, vae: aaptvae.VAE) -> None:
    values = [0.1, 1 / 3, -2.7, 1e-7, 65504.0]
    for pad in ("", " " * 5000):
        status, headers, answer = client.send("tiny_embed", tensor(datatype="FP16", data=values) + pad.encode())
        assert status == 200, answer
        assert np.array_equal(results(headers, answer)[0], vae.embed(np.array([values], np.float16)))
    assert "x has inf at row 0, column 4" in client.refused(400, "tiny_embed", tensor(datatype="FP16", data=[0, 0, 0, 0, 1e6]))


def test_binary_sizes_must_be_right(client: Client, x: np.ndarray) -> None:
    body, size = request((), True, {"x": x[:3]})
    assert size is not None
    assert "bytes: expected" in client.refused(400, "tiny_embed", body[:-1], size)
    assert "and the others its binary tensors (x)" in client.refused(400, "tiny_embed", body + b"1234", size)
    for wrong in (0, len(body) + 1):
        assert "announced as JSON" in client.refused(400, "tiny_embed", body, wrong)
    for wrong in (b'"3"', b"-60", b"60.0", b"1e300"):
        changed = body.replace(b'"binary_data_size": 60', b'"binary_data_size": ' + wrong)
        assert "binary_data_size" in client.refused(400, "tiny_embed", changed, size + len(wrong) - 2)


def test_rows_and_answers_have_limits(client: Client) -> None:
    rows = np.zeros((5001, 5), np.float32)
    assert "5001 rows: expected 5000 at most" in client.refused(413, "tiny_embed", *request((), True, {"x": rows}))
    many = {"n": np.array([1 << 62]), "seed": np.array([1])}
    assert "rows: expected 5000 at most" in client.refused(413, "tiny_sample", *request((), True, many))
    wide = {"x": np.zeros((4999, 64), np.float64)}
    assert np.array_equal(client.infer("digits_score", "elbo", **wide)[0].shape, [4999])
    text = json.dumps({"inputs": [], "pad": "x" * (4 << 20)}).encode()[: 4 << 20]
    assert "not JSON" in client.refused(400, "tiny_embed", text)


def test_large_requests_equal_small_ones(client: Client, x: np.ndarray) -> None:
    rows = np.tile(x, (16, 1))
    whole = client.infer("tiny_score", "elbo", x=rows)[0]
    assert np.array_equal(whole, np.tile(client.infer("tiny_score", "elbo", x=x)[0], 16))


def test_paths_and_methods(client: Client) -> None:
    status, _, body = client.ask("GET", "/v2/models/none_encoder")
    sentence = json.loads(body)["error"]
    assert status == 404 and sentence.startswith(
        "there is no model at /v2/models/none_encoder: this server has digits_encoder (1), "
    )
    assert "tiny_encoder (1, 2)" in sentence or "tiny_encoder (2)" in sentence
    status, headers, body = client.ask("DELETE", "/v2/models/tiny_encoder")
    assert (status, headers["allow"]) == (405, "GET, HEAD") and "takes GET" in json.loads(body)["error"]
    assert client.ask("GET", "/v2/models/tiny_encoder/infer")[1]["allow"] == "POST"
    assert client.ask("GET", "/v2/health/live?verbose=1")[0] == 200
    assert client.ask("HEAD", "/v2/health/live")[2] == b""
    assert client.ask("GET", "/%76%32")[0] == 404
    sentence = json.loads(client.ask("GET", "/v2/models/tiny_encoder/trace")[2])["error"]
    assert sentence.startswith("there is nothing at /v2/models/tiny_encoder/trace: a model has metadata at its name")
    for verb in ("load", "unload"):
        status, _, body = client.ask("POST", f"/v2/repository/models/tiny_encoder/{verb}", b"{}")
        assert status == 404 and "send the server SIGHUP" in json.loads(body)["error"]


def test_configurations_have_no_batch_axis(client: Client) -> None:
    assert client.json("/v2/models/tiny_encoder/config") == {
        "name": "tiny_encoder",
        "platform": "aaptvae_onnxruntime",
        "max_batch_size": 5000,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [5]}],
        "output": [{"name": name, "data_type": "TYPE_FP32", "dims": [2]} for name in ("mu", "logvar")],
    }
    score = client.json("/v2/models/tiny_score/versions/2/config")["output"]
    assert score[0] == {"name": "reconstruction_error", "data_type": "TYPE_FP64", "dims": [1], "reshape": {"shape": []}}
    sample = client.json("/v2/models/tiny_sample/config")
    assert sample["max_batch_size"] == 0 and sample["output"][0]["dims"] == [-1, 5]
    assert [tensor.get("optional", False) for tensor in sample["input"]] == [False, False, True]


def test_statistics_count_requests_and_rows(client: Client) -> None:
    def figures(path: str) -> dict[str, int]:
        (model,) = [one for one in client.json(path)["model_stats"] if (one["name"], one["version"]) == ("tiny_decoder", "1")]
        done, failed = model["inference_stats"]["success"], model["inference_stats"]["fail"]
        counts = {"rows": model["inference_count"], "done": done["count"], "failed": failed["count"]}
        return counts | {"ns": done["ns"], "failed ns": failed["ns"], "last": model["last_inference"]}

    path = "/v2/models/tiny_decoder/versions/1"
    begun = time.time()
    before = figures(path + "/stats")
    for rows in (7, 1):
        body, size = request((), True, {"z": np.zeros((rows, 2), np.float32)})
        headers = {"Inference-Header-Content-Length": str(size)}
        assert client.ask("POST", path + "/infer", body, **headers)[0] == 200
    assert client.ask("POST", path + "/infer", b"{}")[0] == 400
    for place in (path, "/v2/models/tiny_decoder", "/v2/models"):
        after = figures(place + "/stats")
        assert {name: after[name] - before[name] for name in ("rows", "done", "failed")} == {"rows": 8, "done": 2, "failed": 1}
        assert after["ns"] > before["ns"] and after["failed ns"] > before["failed ns"]
        assert begun - 1 < after["last"] / 1000 < time.time() + 1
    assert [one["version"] for one in client.json("/v2/models/tiny_decoder/stats")["model_stats"]] == ["1", "2"]
    assert len(client.json("/v2/models/stats")["model_stats"]) == 24


def test_metrics_count_requests_and_rows(client: Client) -> None:
    def counted(name: str) -> float:
        text = client.ask("GET", "/metrics")[2].decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    rows = 'aaptvae_rows_total{model="tiny_decoder",version="2"}'
    failed = 'aaptvae_requests_total{model="tiny_decoder",version="2",status="400"}'
    before = counted(rows), counted(failed)
    client.infer("tiny_decoder", z=np.zeros((7, 2), np.float32))
    client.refused(400, "tiny_decoder", b"{}")
    assert (counted(rows), counted(failed)) == (before[0] + 7, before[1] + 1)
    assert counted("aaptvae_bundle_info") == 4
