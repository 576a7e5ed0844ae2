"""onnxruntime sessions of checked graphs, run over rows in chunks that fit the CPU cache."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self
from weakref import WeakSet

import numpy as np
from numpy.typing import ArrayLike

from ..bundle.graph_check import cut
from ..bundle.graph_specs import CONDITION, served_graph
from ..bundle.manifest import GraphSpec, Manifest, Precision
from ..errors import BundleError, InputError, ProviderError
from ..rows import BLOCK, Names, Rows, as_count, as_rows, refuse_overflow, shaped
from .cpus import multiplies_bytes, usable_cpus
from .memory import new_output
from .one_row import OneRow
from .team import Team

Provider = str | tuple[str, dict[str, Any]]

_CPU = "CPUExecutionProvider"
_CACHE = 1 << 20  # bytes of activations of two neighbouring layers: a chunk then fits one core's cache
_CHUNKS = (BLOCK, 1024)
_ALONE = 512  # rows per thread from which one thread per chunk is faster
_SMALL = 1 << 25  # rows times bytes of the graph below which one thread is faster

_opened: WeakSet[Any] = WeakSet()  # every session of this process
_process = os.getpid()


@dataclass(frozen=True)
class Settings:
    """Options of sessions; None means the default."""

    providers: Sequence[Provider] | None = None
    threads: int | None = None
    batch_size: int | None = None
    session_options: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.providers, str):
            raise InputError(f"providers is a string: expected a list of names: pass [{self.providers!r}]")
        for name in ("threads", "batch_size"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, as_count(value, name))
        if self.threads is not None and self.session_options is not None:
            raise InputError(
                "threads and session_options were both given: expected one: set intra_op_num_threads in the options"
            )


class Network:
    """The sessions of one graph. Thread-safe, also after a fork.

    A small call uses one thread, a larger one all threads, the largest one thread per chunk; a call for some outputs uses
    a graph cut to them. onnxruntime computes a row by the same operations in all cases, so its bits are equal (tested).
    """

    def __init__(self, graph: bytes, spec: GraphSpec, hidden: Sequence[int], precision: Precision, settings: Settings) -> None:
        self._graph, self._precision, self._settings = graph, precision, settings
        self.columns: Names = None  # names of the input's columns, for errors
        self.input, self.width = spec.inputs[0].name, spec.inputs[0].shape[1]
        self.condition_dim = spec.inputs[1].shape[1] if len(spec.inputs) > 1 else 0
        self.widths = {tensor.name: tensor.shape[1] for tensor in spec.outputs}
        layers = (self.width + self.condition_dim, *hidden, sum(self.widths.values()))
        row = max(a + b for a, b in pairwise(layers)) * (2 if precision == "int8" else 4)
        self.chunk = settings.batch_size or min(max(_CACHE // row // BLOCK * BLOCK, _CHUNKS[0]), _CHUNKS[1])
        self._threads = settings.threads or usable_cpus()
        self._team, self._alone = Team(self._threads), Team(1)
        ours = settings.session_options is None and list(settings.providers or [_CPU]) == [_CPU]
        self._small = _SMALL // len(graph) if ours else 0
        # The key holds the process: threads of a session do not survive a fork, so a child opens its own.
        self._sessions: dict[tuple[int, int, int], Any] = {}
        self._one_rows: dict[tuple[int, int], list[OneRow]] = {}  # those that no call uses now
        self.providers: list[str] = list(self._session(1, len(self.widths)).get_providers())

    @classmethod
    def of(cls, manifest: Manifest, files: Mapping[str, bytes], graph: str, precision: Precision, settings: Settings) -> Self:
        """That of "encoder", "decoder" or a view of a bundle with these files."""
        name, spec, own = served_graph(manifest, graph, precision)
        return cls(files[name], spec, manifest.hidden_dims[:: -1 if graph == "decoder" else 1], own, settings)

    def __call__(
        self, x: ArrayLike, outputs: Sequence[str], out: Sequence[Rows | None] | None = None, c: Rows | None = None
    ) -> list[Rows]:
        """The named outputs (the first, or all) [N, width] of rows `x` [N, width], written to `out` where given.

        `c` are the conditions [N, C] of a graph that takes them.
        """
        x = x if type(x) is np.ndarray and x.ndim == 2 else shaped(x, self.width, self.input)
        if len(x) <= self.chunk and out is None:
            x = as_rows(x, self.width, self.input, 0, self.columns)
            if len(x) == 1:
                return self._run_one(x, outputs, c)
            results = self._run(self._session(len(x), len(outputs)), x, outputs, c)
            refuse_overflow(self.input, x, 0, results, self.columns)
            return results
        x = shaped(x, self.width, self.input)
        results = []
        for name, given in zip(outputs, [None] * len(outputs) if out is None else out, strict=True):
            results.append(new_output(given, len(x), self.widths[name], x, *results))
        # With enough rows for every thread, one chunk per thread is faster than all threads on one chunk, because
        # threads then do not wait for each other after every operator.
        even = min(self.chunk, -(-len(x) // (self._threads * BLOCK)) * BLOCK)
        parallel = bool(self._small) and (even >= _ALONE or len(x) > (2 * self._threads - 1) * self.chunk)
        size, team = (even, self._team) if parallel else (self.chunk, self._alone)
        session = self._session(0 if parallel else min(size, len(x)), len(outputs))

        def run_chunk(start: int) -> None:
            chunk = as_rows(x[start : start + size], self.width, self.input, start, self.columns)
            parts = {n: r[start : start + size] for n, r in zip(outputs, results, strict=True)}
            self._run_into(session, chunk, parts, c if c is None else c[start : start + size])
            refuse_overflow(self.input, chunk, start, list(parts.values()), self.columns)

        team.share(run_chunk, range(0, len(x), size))
        return results

    def run_single_threaded(self, x: Rows, outputs: Sequence[str], c: Rows | None = None) -> list[Rows]:
        """The named outputs in new arrays, from a session with one thread: for a few rows."""
        return self._run(self._session(1, len(outputs)), as_rows(x, self.width, self.input), outputs, c)

    def _run_one(self, x: Rows, outputs: Sequence[str], c: Rows | None) -> list[Rows]:
        spare = self._one_rows.setdefault((_process, len(outputs)), [])
        try:
            one = spare.pop()  # no other thread gets it, nor a signal handler that interrupts this call
        except IndexError:
            inputs = {self.input: self.width} if c is None else {self.input: self.width, CONDITION: self.condition_dim}
            one = OneRow(self._session(1, len(outputs)), inputs, {name: self.widths[name] for name in outputs})
        try:
            results = one.run(x, c)
        except Exception as error:  # onnxruntime's errors have no common base class but this
            raise _failed(error) from None
        refuse_overflow(self.input, x, 0, (one.results,), self.columns)
        spare.append(one)
        return results

    def _run(self, session: Any, x: Rows, outputs: Sequence[str], c: Rows | None) -> list[Rows]:
        """Results in new arrays, whose shapes are checked: a graph may compute other shapes than it declares."""
        try:
            results: list[Rows] = session.run(outputs, {self.input: x} if c is None else {self.input: x, CONDITION: c})
        except Exception as error:  # onnxruntime's errors have no common base class but this
            raise _failed(error) from None
        rows = len(x)
        for name, result in zip(outputs, results, strict=True):
            if result.shape != (rows, self.widths[name]):
                raise _failed(f"{name} has shape {result.shape}, not {(rows, self.widths[name])}")
        return results

    def _run_into(self, session: Any, x: Rows, results: dict[str, Rows], c: Rows | None) -> None:
        """Write into the arrays `results`; onnxruntime refuses an array of another shape than it computed."""
        if not all(result.flags.c_contiguous and result.flags.aligned for result in results.values()):
            for result, values in zip(results.values(), self._run(session, x, list(results), c), strict=True):
                result[:] = values
            return
        binding = session.io_binding()  # one per call: callers in several threads must not share it
        for name, rows in ((self.input, x), (CONDITION, c)):
            if rows is not None:
                binding.bind_input(name, "cpu", 0, rows.dtype.type, rows.shape, rows.ctypes.data)
        for name, result in results.items():
            binding.bind_output(name, "cpu", 0, result.dtype.type, result.shape, result.ctypes.data)
        try:
            session.run_with_iobinding(binding)
        except Exception as error:
            raise _failed(error) from None

    def _session(self, rows: int, outputs: int) -> Any:
        threads = 1 if rows <= self._small else self._threads
        key = (_process, threads, outputs)
        session = self._sessions.get(key)
        if session is None:  # two threads may both open one; the first is kept
            graph = self._graph if outputs == len(self.widths) else cut(self._graph, next(iter(self.widths)))
            session = self._sessions.setdefault(key, open_session(graph, self._precision, threads, self._settings))
        return session


def _failed(why: object) -> BundleError:
    return BundleError(f"onnxruntime cannot compute a graph of this bundle ({why}): export the bundle again")


def open_session(graph: bytes, precision: Precision, threads: int, settings: Settings) -> Any:
    """A session on exactly the requested providers, or `ProviderError`; `BundleError` if the graph is refused."""
    runtime = onnxruntime()
    providers = list(settings.providers or [_CPU])
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    _check_active(names, runtime.get_available_providers())
    options = settings.session_options or _session_options(precision, threads)
    try:
        session = runtime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's errors have no common base class but this
        raise BundleError(f"onnxruntime refuses a graph of this bundle ({error}): export the bundle again") from None
    _check_active(names, session.get_providers())
    _opened.add(session)
    return session


def _check_active(asked: list[str], active: list[str]) -> None:
    for name in asked:
        if name not in active:
            raise ProviderError(
                f"{name} is not active: expected one of {', '.join(active)}: "
                "install the onnxruntime build that has it, or name another provider"
            )


def _session_options(precision: Precision, threads: int) -> Any:
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; nothing is printed
    options.enable_mem_pattern = False  # chunks have one size: no plan is needed
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # External data is refused by check_graph; this makes any remaining name of a file unusable.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    if precision == "int8" and not multiplies_bytes():  # exact kernels, half as fast as VNNI's
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def onnxruntime() -> Any:
    """The onnxruntime module, imported on first use with its telemetry off."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as module  # noqa: PLC0415 (not at `import aaptvae`)

    return module


def _forget_sessions() -> None:
    """In a forked child, never close sessions: closing joins threads that exist in the parent only."""
    global _process  # noqa: PLW0603 (read in each call: asking the system takes longer)
    _process = os.getpid()
    if _opened:
        import ctypes  # noqa: PLC0415 (for forked children only)

        for session in _opened:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_sessions)
