"""onnxruntime sessions from checked bytes, and rows through them in chunks that fit the cache."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from .bundle import GraphSpec
from .cpus import usable_cpus
from .errors import BundleError, InputError, ProviderError
from .rows import BLOCK, Rows, as_output, as_rows, shaped

Provider = str | tuple[str, dict[str, Any]]

_CACHE = 3 << 20  # bytes of activations that stay near the cores: measured best from 1 to 4 MiB
_CHUNKS = (BLOCK, 4096)

# A session that crossed a fork waits forever for threads that exist in the parent alone: it is kept, never freed.
_left_behind: list[object] = []


@dataclass(frozen=True)
class Settings:
    """What the caller chooses about sessions; None means the default."""

    providers: Sequence[Provider] | None = None
    threads: int | None = None
    batch_size: int | None = None
    session_options: Any = None

    def __post_init__(self) -> None:
        for name in ("threads", "batch_size"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name} is {value!r}: expected an integer from 1 up, or None for the default")
        if self.threads is not None and self.session_options is not None:
            raise InputError("threads and session_options were both given: expected one: set intra_op_num_threads in "
                             "the options")


class Network:
    """One graph, ready to run: rows in, named rows out. Safe to call from many threads and after a fork."""

    def __init__(self, graph: bytes, spec: GraphSpec, hidden: int, settings: Settings) -> None:
        self._graph, self._settings = graph, settings
        self.input, self.width = spec.inputs[0].name, spec.inputs[0].shape[1]
        self.widths = {tensor.name: tensor.shape[1] for tensor in spec.outputs}
        per_row = 4 * (self.width + hidden + sum(self.widths.values()))
        fitting = _CACHE // per_row // BLOCK * BLOCK
        self.chunk = settings.batch_size or min(max(fitting, _CHUNKS[0]), _CHUNKS[1])
        self._open()

    def _open(self) -> None:
        self._session = open_session(self._graph, self._settings)
        self._only_asked = _run_options()
        self._process = os.getpid()

    @property
    def providers(self) -> list[str]:
        """Active execution providers, in order of preference."""
        return list(self._session.get_providers())

    def __call__(self, x: ArrayLike, outputs: Sequence[str], out: Sequence[Rows | None] | None = None) -> list[Rows]:
        """The asked outputs [N, width] for rows `x`, written to `out` where given; raises `InputError`."""
        source = shaped(x, self.width, self.input)
        if len(source) <= self.chunk and out is None:
            return self.run(as_rows(source, self.width, self.input), outputs)
        results = [as_output(place, len(source), self.widths[name], source)
                   for name, place in zip(outputs, [None] * len(outputs) if out is None else out, strict=True)]
        for start in range(0, len(source), self.chunk):
            stop = min(start + self.chunk, len(source))
            rows = as_rows(source[start:stop], self.width, self.input, start)
            for result, part in zip(results, self.run(rows, outputs), strict=True):
                result[start:stop] = part
        return results

    def run(self, rows: Rows, outputs: Sequence[str]) -> list[Rows]:
        """One call of onnxruntime on checked rows."""
        if self._process != os.getpid():
            _left_behind.append(self._session)
            self._open()
        options = self._only_asked if len(outputs) < len(self.widths) else None
        result: list[Rows] = self._session.run(outputs, {self.input: rows}, options)
        return result


def open_session(graph: bytes, settings: Settings) -> Any:
    """A session on exactly the providers asked for, or `ProviderError`; `BundleError` if the graph is refused."""
    runtime = onnxruntime()
    providers = list(settings.providers or ["CPUExecutionProvider"])
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    _check_active(names, runtime.get_available_providers())
    options = settings.session_options or _session_options(settings.threads or usable_cpus())
    try:
        session = runtime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's own errors share no base but this
        raise BundleError(f"onnxruntime refuses a graph of this bundle ({error}): export the bundle again") from None
    _check_active(names, session.get_providers())
    return session


def _check_active(asked: list[str], active: list[str]) -> None:
    for name in asked:
        if name not in active:
            raise ProviderError(f"{name} was asked for and is not active: this onnxruntime offers {', '.join(active)}: "
                                "install the onnxruntime build that has it, or ask for another provider")


def _session_options(threads: int) -> Any:
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions; stderr belongs to the caller
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # External data is refused before this point; should any name slip through, it leads nowhere.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return options


def _run_options() -> Any:
    options = onnxruntime().RunOptions()
    options.log_severity_level = 4
    options.only_execute_path_to_fetches = True
    return options


def onnxruntime() -> Any:
    """The onnxruntime module, imported on first use with its telemetry off."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as module  # noqa: PLC0415 (too early and `import aaptvae` pays for it)

    return module
