"""From a request to its answer: the paths of the inference protocol, each a key of one table."""

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version

from .answers import TEXT, Answer, RequestError, as_json
from .batching import SMALL_WORK, Batcher, ModelRequest
from .encoding import decompressed
from .metrics import Key, Metrics
from .models import Model
from .repository import Repository
from .settings import Options
from .statistics import statistics
from .tensors import read_request
from .work import Threads

_SMALL_BODY = 1 << 18  # bytes: a larger one, and a compressed one, is decoded in a thread
_NO_MODEL: Key = ("", "")
OPEN = {b"/v2/health/live", b"/v2/health/ready"}  # without a token: probes of Kubernetes have none


class Request:
    """A request, as far as its answer depends on it; `json_size` is the value of Inference-Header-Content-Length.

    `encoding` names the compression of `body`.
    """

    __slots__ = ("begun", "body", "encoding", "json_size", "key", "method", "path")

    def __init__(
        self,
        method: bytes,
        path: bytes,
        json_size: int | None,
        body: bytes | memoryview = b"",
        encoding: bytes | None = None,
    ) -> None:
        self.method, self.path, self.json_size, self.body, self.encoding = method, path, json_size, body, encoding
        self.key, self.begun = _NO_MODEL, time.perf_counter()


Handler = Callable[[Request], "Answer | asyncio.Future[Answer]"]


class Routes:
    """The table of paths and methods, made again when the bundles change."""

    def __init__(self, repository: Repository, options: Options, metrics: Metrics, threads: Threads) -> None:
        self.repository, self.metrics, self.threads = repository, metrics, threads
        self._limits, self._token, self._batcher = options.limits, options.token, Batcher()
        self.draining = False
        self.gauges: Callable[[], Mapping[str, int]] = dict
        self._table: dict[bytes, dict[bytes, Handler]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Serve the models that the repository has now."""
        table: dict[bytes, dict[bytes, Handler]] = {
            b"/v2/health/live": {b"GET": lambda _: as_json({"live": True})},
            b"/v2/health/ready": {b"GET": self._ready},
            b"/v2": {b"GET": _server},
            b"/metrics": {b"GET": self._metrics},
            b"/v2/repository/index": {b"POST": self._index},
            b"/v2/models/stats": {b"GET": lambda _: self._statistics(self._all())},
        }
        for name, versions in self.repository.models.items():
            for model in versions.values():
                table |= self._paths(f"/v2/models/{name}/versions/{model.version}", model, [model])
            newest = list(versions.values())[-1]
            table |= self._paths(f"/v2/models/{name}", newest, list(versions.values()))
        self._table = table

    def _paths(self, base: str, model: Model, versions: list[Model]) -> dict[bytes, dict[bytes, Handler]]:
        """The paths of one model below `base`."""
        described = model.metadata([one.version for one in versions])
        configured = model.configuration(self._limits.rows)
        root = base.encode()
        return {
            root: {b"GET": lambda _: as_json(described)},
            root + b"/ready": {b"GET": lambda _: as_json({"name": model.name, "ready": True})},
            root + b"/config": {b"GET": lambda _: as_json(configured)},
            root + b"/stats": {b"GET": lambda _: self._statistics(versions)},
            root + b"/infer": {b"POST": partial(self._infer, model)},
        }

    def admit(self, method: bytes, path: bytes, authorization: bytes) -> None:
        """Raise `RequestError` 401, 404 or 405 for a request whose body need not be read."""
        if self._token is not None and path not in OPEN and not _bears(authorization, self._token):
            text = "this server expects its token: send the header Authorization: Bearer TOKEN"
            raise RequestError(401, text, b"www-authenticate: Bearer\r\n")
        methods = self._table.get(path)
        if methods is None:
            raise RequestError(404, self._unknown(path))
        if method not in methods and not (method == b"HEAD" and b"GET" in methods):
            (taken,) = methods  # each path has one handler
            allowed = taken + b", HEAD" * (taken == b"GET")
            raise RequestError(405, f"{path.decode()} takes {taken.decode()}", b"allow: %s\r\n" % allowed)

    def answer(self, request: Request) -> "Answer | asyncio.Future[Answer]":
        """The answer to an admitted request, or its future; raises `AaptvaeError`."""
        methods = self._table.get(request.path, {})
        handler = methods.get(request.method) or methods.get(b"GET")
        if handler is None:  # the model was removed since the request was admitted
            raise RequestError(404, self._unknown(request.path))
        return handler(request)

    def _unknown(self, path: bytes) -> str:
        text = path[:200].decode("ascii", "replace")
        if path.startswith(b"/v2/repository/models/"):
            return f"there is nothing at {text}: models are neither loaded nor unloaded by a request: send the server SIGHUP"
        if not path.startswith(b"/v2/models/"):
            return f"there is nothing at {text}: this server follows the Open Inference Protocol V2, below /v2"
        models = self.repository.models
        name, _, below = text.removeprefix("/v2/models/").partition("/")
        if name in models and not below.startswith("versions/"):
            return f"there is nothing at {text}: a model has metadata at its name, and below it ready, config, stats and infer"
        encoders = [f"{name} ({', '.join(models[name])})" for name in models if name.endswith("_encoder")]
        has = ", ".join(encoders[:12]) + ", ..." * (len(encoders) > 12)
        return (
            f"there is no model at {text}: this server has {has}, and _decoder, _embed, _reconstruct, _score, _sample of each"
        )

    def _ready(self, _: Request) -> Answer:
        return as_json({"ready": not self.draining}, 503 if self.draining else 200)

    def _metrics(self, _: Request) -> Answer:
        text = self.metrics.text(self.gauges(), self.repository.digests)
        return Answer(200, [text.encode()], TEXT)

    def _all(self) -> list[Model]:
        return [model for versions in self.repository.models.values() for model in versions.values()]

    def _index(self, _: Request) -> Answer:
        models = self._all()
        return as_json([{"name": model.name, "version": model.version, "state": "READY", "reason": ""} for model in models])

    def _statistics(self, models: list[Model]) -> Answer:
        total = self.metrics.total()
        return as_json({"model_stats": [statistics(total, model.label) for model in models]})

    def _infer(self, model: Model, request: Request) -> "Answer | asyncio.Future[Answer]":
        request.key = model.label
        if len(request.body) > _SMALL_BODY or request.encoding is not None:
            return self.threads.submit(lambda: self._model_request(model, request).answer())
        prepared = self._model_request(model, request)
        return self.threads.submit(prepared.answer) if prepared.work > SMALL_WORK else self._batcher.answer(prepared)

    def _model_request(self, model: Model, request: Request) -> ModelRequest:
        body = request.body
        if request.encoding is not None:
            limit = self._limits.json_body if request.json_size is None else self._limits.body
            body = decompressed(body, request.encoding, limit)
        asked = read_request(body, request.json_size, self._limits.json_body)
        rows, wanted = model.rows(asked.inputs), model.wanted(tuple(asked.outputs))
        model.check(rows, wanted.row_bytes, asked.options, self._limits)
        return ModelRequest(model, asked, rows, wanted)


def _bears(authorization: bytes, token: bytes) -> bool:
    """Whether a header names the token; the scheme is written in either case (RFC 9110, 11.1)."""
    scheme, _, given = authorization.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token)


def _server(_: Request) -> Answer:
    extensions = ["binary_tensor_data", "model_configuration", "statistics"]
    return as_json({"name": "aaptvae", "version": version("aaptvae"), "extensions": extensions})
