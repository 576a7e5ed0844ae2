"""The models that a bundle becomes: NAME_encoder and NAME_decoder as in an exported Triton repository, and its other verbs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple, cast

import msgspec

from ..bundle.graph_specs import CONDITION
from ..bundle.manifest import Condition
from ..errors import InputError
from ..rows import Array
from ..scores import Scores
from ..vae import VAE
from .answers import RequestError
from .settings import Limits
from .tensors import Port

Compute = Callable[[Mapping[str, Array], Sequence[str], Mapping[str, Any]], Sequence[Array]]
PLATFORM = "aaptvae_onnxruntime"


class Wanted(NamedTuple):
    """Outputs of a model that a request asks for, and their bytes for each row."""

    ports: tuple[Port, ...]
    names: tuple[str, ...]
    row_bytes: int


@dataclass(frozen=True, eq=False)
class Model:
    """One model: its tensors, its options, what it computes, and the multiplications of one row."""

    name: str
    version: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    compute: Compute
    cost: int
    options: frozenset[str] = frozenset()
    needed: int = 1  # how many of the inputs a request must give
    columns: tuple[str, ...] | None = None  # names of the features of `x`, in their order
    conditions: tuple[Condition, ...] = ()  # of `c`, in their order

    def __post_init__(self) -> None:
        object.__setattr__(self, "wanted", lru_cache(64)(self.wanted))  # for each request

    @property
    def label(self) -> tuple[str, str]:
        """Name and version."""
        return self.name, self.version

    def rows(self, inputs: Mapping[str, Array]) -> int:
        """How many rows a request asks for; `InputError` where its tensors are not those of the model."""
        names = [port.name for port in self.inputs]
        if self.needed > 1 or inputs.keys() != {names[0]}:
            if unknown := [name for name in inputs if name not in names]:
                raise InputError(f"{self.name} has no input {unknown[0]}: expected {', '.join(names)}")
            if missing := [name for name in names[: self.needed] if name not in inputs]:
                raise InputError(f"the request lacks the input {missing[0]}: {self.name} takes {', '.join(names)}")
        return len(inputs[names[0]]) if self.inputs[0].datatype == "FP32" else _integer(inputs, names[0])

    def wanted(self, names: tuple[str, ...]) -> "Wanted":
        """The outputs of these names, all without names; `InputError` for one that the model lacks."""
        ports = {port.name: port for port in self.outputs}
        if len(set(names)) < len(names):
            raise InputError(f"the request asks for an output twice ({', '.join(names[:9])}): expected each once")
        if unknown := [name for name in names if name not in ports]:
            raise InputError(f"{self.name} has no output {unknown[0][:100]}: expected {', '.join(ports)}")
        chosen = tuple(ports[name] for name in names) or self.outputs
        return Wanted(chosen, tuple(port.name for port in chosen), sum(port.row_bytes for port in chosen))

    def check(self, rows: int, row_bytes: int, options: Mapping[str, Any], limits: Limits) -> None:
        """Raise `RequestError` 413 for more rows or bytes of results than `limits`, `InputError` for unknown options."""
        if rows > limits.rows:
            raise RequestError(413, f"the request has {rows} rows: expected {limits.rows} at most: send several requests")
        if rows * row_bytes > limits.body:
            raise RequestError(
                413, f"the answer would have {rows * row_bytes} bytes: expected {limits.body} at most: send fewer rows"
            )
        if unknown := [name for name in options if name not in self.options]:
            known = ", ".join(sorted(self.options)) or "none"
            raise InputError(f"{self.name} has no parameter {unknown[0][:100]}: expected {known}")

    def metadata(self, versions: Sequence[str]) -> dict[str, object]:
        """The answer to a request for the model's metadata."""
        tensors = {"inputs": self.inputs, "outputs": self.outputs}
        described = {
            key: [{"name": port.name, "datatype": port.datatype, "shape": port.shape} for port in ports]
            for key, ports in tensors.items()
        }
        named: dict[str, object] = {} if self.columns is None else {"columns": self.columns}
        if self.conditions:
            named["conditions"] = [msgspec.to_builtins(condition) for condition in self.conditions]
        parameters = {"parameters": named} if named else {}
        return {"name": self.name, "versions": versions, "platform": PLATFORM, **described, **parameters}

    def configuration(self, most_rows: int) -> dict[str, object]:
        """The model's configuration as in Triton's model_config.proto, whose dims leave out the batch axis."""
        batched = self.inputs[0].shape[0] < 0
        tensors = {
            key: [_configured(port, batched) for port in ports]
            for key, ports in (("input", self.inputs), ("output", self.outputs))
        }
        for described in tensors["input"][self.needed :]:
            described["optional"] = True
        return {"name": self.name, "platform": PLATFORM, "max_batch_size": most_rows if batched else 0, **tensors}


def _configured(port: Port, batched: bool) -> dict[str, object]:
    described: dict[str, object] = {"name": port.name, "data_type": f"TYPE_{port.datatype}"}
    dims = port.shape[1:] if batched else port.shape
    return described | ({"dims": dims} if dims else {"dims": [1], "reshape": {"shape": []}})  # a tensor of dims [] has none


def models_of(vae: VAE, name: str, version: str) -> Iterator[Model]:
    """Every model of a loaded bundle."""
    manifest = vae.manifest
    widths = [manifest.input_dim, *manifest.hidden_dims, manifest.latent_dim]
    cost = sum(a * b for a, b in pairwise(widths)) + widths[0] * widths[-1]
    x, mu, logvar = (Port(key, "FP32", (-1, width)) for key, width in _tensors(vae))
    given = tuple(Port(tensor.name, "FP32", (-1, tensor.shape[1])) for tensor in manifest.encoder.inputs[1:])
    views = [mu, *(Port(view, "FP32", (-1, vae.views.width(view))) for view in vae.views.names)]
    row = Port("reconstruction", "FP32", x.shape)
    figures = tuple(Port(field, "FP64", (-1,)) for field in Scores._fields)
    both = 1 + len(given)
    make = partial(Model, version=version, columns=vae.columns, conditions=manifest.conditions, needed=both)
    yield make(f"{name}_encoder", inputs=(x, *given), outputs=(mu, logvar), compute=partial(_encode, vae), cost=cost)
    yield make(
        f"{name}_decoder",
        inputs=(Port("z", "FP32", mu.shape), *given),
        outputs=(row,),
        compute=partial(_decode, vae),
        cost=cost,
    )
    yield make(f"{name}_embed", inputs=(x, *given), outputs=tuple(views), compute=partial(_embed, vae), cost=cost * len(views))
    yield make(f"{name}_reconstruct", inputs=(x, *given), outputs=(row,), compute=partial(_reconstruct, vae), cost=2 * cost)
    yield make(f"{name}_score", inputs=(x, *given), outputs=figures, compute=partial(_score, vae), cost=8 * cost)
    n, seed, first = (Port(key, "INT64", (1,)) for key in ("n", "seed", "first"))
    yield make(
        f"{name}_sample",
        inputs=(n, seed, *given, first),
        outputs=(Port("sample", "FP32", x.shape),),
        compute=partial(_sample, vae),
        cost=4 * cost,
        options=frozenset({"prior", "temperature", "observation_noise", "as_observed"}),
        needed=1 + both,
    )


def _tensors(vae: VAE) -> list[tuple[str, int]]:
    spec = vae.manifest.encoder
    return [(tensor.name, tensor.shape[1]) for tensor in (spec.inputs[0], *spec.outputs)]


def _encode(vae: VAE, inputs: Mapping[str, Array], outputs: Sequence[str], _: Mapping[str, Any]) -> Sequence[Array]:
    if outputs == ("mu",):  # a graph without the work for logvar
        return [vae.embed(inputs["x"], condition=inputs.get(CONDITION))]
    mu, logvar = vae.encode(inputs["x"], condition=inputs.get(CONDITION))
    return [mu if name == "mu" else logvar for name in outputs]


def _decode(vae: VAE, inputs: Mapping[str, Array], _: Sequence[str], __: Mapping[str, Any]) -> Sequence[Array]:
    return [vae.decode(inputs["z"], condition=inputs.get(CONDITION))]


def _embed(vae: VAE, inputs: Mapping[str, Array], outputs: Sequence[str], _: Mapping[str, Any]) -> Sequence[Array]:
    return [vae.embed(inputs["x"], view=cast("Any", view), condition=inputs.get(CONDITION)) for view in outputs]


def _reconstruct(vae: VAE, inputs: Mapping[str, Array], _: Sequence[str], __: Mapping[str, Any]) -> Sequence[Array]:
    return [vae.reconstruct(inputs["x"], condition=inputs.get(CONDITION))]


def _score(vae: VAE, inputs: Mapping[str, Array], outputs: Sequence[str], _: Mapping[str, Any]) -> Sequence[Array]:
    scores = vae.score(inputs["x"], condition=inputs.get(CONDITION))
    return [getattr(scores, name) for name in outputs]


def _sample(vae: VAE, inputs: Mapping[str, Array], _: Sequence[str], options: Mapping[str, Any]) -> Sequence[Array]:
    first = _integer(inputs, "first") if "first" in inputs else 0
    rows = range(first, first + _integer(inputs, "n"))
    for name in ("observation_noise", "as_observed"):
        if type(given := options.get(name, False)) is not bool:
            raise InputError(f"{name} is {str(given)[:40]}: expected true or false")
    if type(given := options.get("temperature")) is bool:
        raise InputError(f"temperature is {given}: expected a number")
    return [vae.sample(rows, seed=_integer(inputs, "seed"), condition=inputs.get(CONDITION), **options)]


def _integer(inputs: Mapping[str, Array], name: str) -> int:
    array = inputs[name]
    if array.size != 1 or array.dtype.kind not in "iu" or int(array.flat[0]) < 0:
        shown = f"{array.flat[0]}, " if array.size == 1 else ""
        raise InputError(
            f"{name} is {shown}{array.dtype} of shape {list(array.shape)}: expected one integer from 0 up, INT64 [1]"
        )
    return int(array.flat[0])
