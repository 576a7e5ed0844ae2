"""A bundle as one picklable function over batches of a table, for engines that send such functions to other processes.

Recipes for Polars, DuckDB, Ray Data, Spark and Dask are in docs/recipes.md.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .bundle.manifest import Precision
from .bundle.packing import packed
from .bundle.reading import read_bundle
from .bundle.sources import Place
from .conditions import Conditions
from .engine import usable_cpus
from .errors import InputError
from .rows import Array, Rows, as_count
from .scores import Scores
from .tables import LATENTS, UNNAMED, as_table, check_names
from .tables.names import each_once, listed
from .vae import VAE, load

Verb = Literal["embed", "metric", "similarity", "encode", "decode", "reconstruct", "score"]
Carry = Literal["bytes", "path"]
_Results = dict[str, Array]  # by column

_Computed = Callable[[VAE, Array, Rows | None], Sequence[Array]]

_VERBS: dict[str, tuple[tuple[str, ...], _Computed]] = {  # names and values of the results
    "embed": (("mu",), lambda vae, x, c: [vae.embed(x, condition=c)]),
    "metric": (("metric",), lambda vae, x, c: [vae.embed(x, view="metric", condition=c)]),
    "similarity": (("similarity",), lambda vae, x, c: [vae.embed(x, view="similarity", condition=c)]),
    "encode": (("mu", "logvar"), lambda vae, x, c: vae.encode(x, condition=c)),
    "decode": (("reconstruction",), lambda vae, z, c: [vae.decode(z, condition=c)]),
    "reconstruct": (("reconstruction",), lambda vae, x, c: [vae.reconstruct(x, condition=c)]),
    "score": (Scores._fields, lambda vae, x, c: vae.score(x, condition=c)),
}
BESIDE = "leave them out of the batch, name them in keep=[...], or name the features with column=[...]"
_MOST_OPEN = 8
_opened: dict[tuple[object, ...], VAE] = {}  # of this process, for every copy of an encoder


class BatchEncoder:
    """Batch in, the same kind of batch out: the columns `keep`, then those that the verb computes.

    A batch is an Arrow table or record batch, a dict of arrays, a pandas or a Polars frame; or one column of vectors (Arrow
    array, Polars Series, array [N, D]), which gives one column. `column` names the column of vectors, or the columns of
    numbers; None takes all that are not in `keep`. Conditions are columns of the batch by their names, which are no features,
    unless `condition` gives one value for all rows. Vectors are fixed-size lists in Arrow, arrays in Polars and in each cell in
    pandas, [N, L] in a dict. "score" gives a column for each figure. Results are those of `VAE`, bit for bit.

    Pickling carries the bundle as bytes, or as its path and digest. It is opened at the first batch of each process, with
    `threads`, or as many as there are CPUs (OMP_NUM_THREADS if lower: Ray, Spark and Dask set it to the CPUs of a task).
    Raises `BundleError` or `InputError`.
    """

    def __init__(  # noqa: PLR0913 (all options)
        self,
        bundle: Place,
        verb: Verb = "embed",
        *,
        column: str | Sequence[str] | None = None,
        keep: Sequence[str] = (),
        condition: Mapping[str, Any] | None = None,
        carry: Carry = "bytes",
        precision: Precision = "fp32",
        threads: int | None = None,
    ) -> None:
        if verb not in _VERBS:
            raise InputError(f"verb is {verb!r}: expected {', '.join(_VERBS)}")
        if carry not in ("bytes", "path"):
            raise InputError(f'carry is {carry!r}: expected "bytes" or "path"')
        found = read_bundle(bundle)
        if carry == "path" and isinstance(found.source, bytes):
            raise InputError("bundle is bytes, without a path to carry: pass its path, or carry='bytes'")
        self._conditions = Conditions(found.manifest.conditions)
        self._fixed = self._conditions.fixed(condition)
        self._place = found.source if carry == "path" else packed(found.source)
        self._digest, self._inputs = found.digest, found.manifest.latent_dim if verb == "decode" else found.manifest.input_dim
        if verb in ("metric", "similarity") and found.manifest.view(verb) is None:
            has = ", ".join(["mu", *(view.name for view in found.manifest.views)])
            raise InputError(f"verb is {verb!r}: this bundle has the view {has}: choose embed, or train and export again")
        self._verb, self._keep = verb, _as_names(keep, "keep")
        self._column = None if column is None else _as_names(column, "column")
        each_once(self._keep, "keep")
        self._features = frozenset(() if verb == "decode" else found.manifest.columns or ())  # may be kept too
        if clash := set(self._keep) & set(_VERBS[verb][0]):
            raise InputError(f"keep names {', '.join(clash)}, which {verb} makes itself: rename the column of the batch")
        self._precision = precision
        self._threads = threads if threads is None else as_count(threads, "threads")

    def __repr__(self) -> str:
        return f"<BatchEncoder {self._verb} of {self._digest[:12]}>"

    def __call__(self, batch: Any) -> Any:
        """The batch with results."""
        package = type(batch).__module__.partition(".")[0]
        if not hasattr(batch, "__len__"):
            raise InputError(
                f"the batch is a {type(batch).__name__}: expected an Arrow table or record batch, a dict of arrays, a pandas "
                "or Polars frame, or an array: collect it, or pass its batches one by one"
            )
        if isinstance(batch, Mapping):
            part, held = ({name: batch[name] for name in names} for names in self._names(list(batch)))
            kept = {name: batch[name] for name in self._keep}
            return kept | self._compute(part, _equal_length(part | held | kept), held)
        if package not in ("pandas", "polars", "pyarrow") or not hasattr(batch, "columns"):
            return self._one_column(batch, package)
        names = list(batch.schema.names if package == "pyarrow" else batch.columns)
        taken, given = self._names(names)
        held = {name: batch.column(name) if package == "pyarrow" else batch[name] for name in given}
        results = self._compute(batch.select(taken) if package != "pandas" else batch[taken], len(batch), held)
        return _WRITERS[package](batch, list(self._keep), results)

    def _names(self, names: list[Any]) -> tuple[list[Any], list[Any]]:
        """The columns of features and those of conditions; `InputError` for one of features that the batch lacks."""
        others = {*self._keep, *self._conditions.names} - self._features
        taken = [name for name in names if name not in others] if self._column is None else list(self._column)
        if lacking := [name for name in (*taken, *self._keep) if name not in names]:
            raise InputError(f"the batch has no column {lacking[0]}: it has {listed(names) or 'none'}: check keep and column")
        used = {*taken, *self._keep, *self._conditions.names}
        check_names([name for name in names if name in used], "the batch")
        return taken, [name for name in names if name in self._conditions.names and name not in self._fixed]

    def _compute(self, part: Any, rows: int, held: Mapping[str, Any]) -> _Results:
        vae = self._vae()
        if rows == 0:  # engines try a function on no rows, whose columns of vectors have no width
            x = np.empty((0, self._inputs), np.float32)
        else:
            decodes = self._verb == "decode"
            x = as_table(part, columns=LATENTS if decodes else vae.columns or UNNAMED, remedy=BESIDE).values
            x = x if decodes else np.asarray(vae.features(x))
        c = self._conditions.of_rows(self._fixed, rows, held) if self._conditions else None
        names, compute = _VERBS[self._verb]
        return dict(zip(names, compute(vae, x, c), strict=True))

    def _one_column(self, column: Any, package: str) -> Any:
        results = self._compute(column, len(column), {})
        if len(results) > 1 or self._keep or self._column is not None:
            raise InputError(
                f"the batch is a {type(column).__name__}: expected a table: {self._verb} gives {', '.join(results)}"
                + " beside columns to keep" * bool(self._keep)
            )
        values = next(iter(results.values()))
        if package == "pyarrow":
            return _arrow_column(values)
        if package == "pandas":
            return sys.modules["pandas"].Series(_cells(values), index=column.index, name=column.name)
        return sys.modules["polars"].Series(column.name, values) if package == "polars" else values

    def _vae(self) -> VAE:
        threads = self._threads or _own_cpus()
        key = (self._digest, self._precision, threads)
        vae = _opened.get(key)  # once: another thread may clear the dict
        if vae is None:
            vae = load(self._place, sha256=self._digest, precision=self._precision, threads=threads)
            if len(_opened) >= _MOST_OPEN:
                _opened.clear()
            _opened[key] = vae
        return vae


def _as_names(given: str | Sequence[str], option: str) -> tuple[str, ...]:
    try:
        return (given,) if isinstance(given, str) else tuple(given)
    except TypeError:
        raise InputError(f"{option} is {given!r}: expected the name of a column, or a list of names") from None


def _equal_length(columns: Mapping[str, Any]) -> int:
    """The rows of a dict of columns; `InputError` unless all have as many."""
    for name, column in columns.items():
        if isinstance(column, str) or not hasattr(column, "__len__") or getattr(column, "ndim", 1) == 0:
            raise InputError(f"{name} of the batch is one value: expected a column: for one row pass a list of it, [x]")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = listed([f"{name} {length}" for name, length in lengths.items()])
        raise InputError(f"the batch has columns of several lengths ({shown}): expected equal ones: pass whole rows")
    return next(iter(lengths.values()), 0)


def _own_cpus() -> int:
    """CPUs of this process, or of the task that runs in it."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(usable_cpus(), max(1, int(told))) if told.isascii() and told.isdigit() else usable_cpus()


def _arrow_column(values: Array) -> Any:
    pyarrow = sys.modules["pyarrow"]
    flat = pyarrow.array(values.ravel())
    return flat if values.ndim == 1 else pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _to_arrow(batch: Any, keep: list[str], results: _Results) -> Any:
    made = {name: _arrow_column(values) for name, values in results.items()}
    fields = [batch.schema.field(name) for name in keep]
    schema = sys.modules["pyarrow"].schema([*fields, *((name, array.type) for name, array in made.items())])
    return type(batch).from_arrays([*(batch.column(name) for name in keep), *made.values()], schema=schema)


def _to_pandas(batch: Any, keep: list[str], results: _Results) -> Any:
    made = batch[keep].copy()
    for name, values in results.items():
        made[name] = values if values.ndim == 1 else _cells(values)
    return made


def _cells(values: Array) -> Array:
    """Rows of [N, L] as N objects, the cells of a pandas column."""
    cells = np.empty(len(values), object)
    cells[:] = list(values)
    return cells


def _to_polars(batch: Any, keep: list[str], results: _Results) -> Any:
    polars = sys.modules["polars"]
    return polars.DataFrame([batch[name] for name in keep] + [polars.Series(name, values) for name, values in results.items()])


_WRITERS = {"pyarrow": _to_arrow, "pandas": _to_pandas, "polars": _to_polars}
