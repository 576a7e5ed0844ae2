"""Counts and times of requests, summed over the worker processes, in Prometheus' text format."""

import mmap
import time
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping

import msgspec

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOT = 1 << 20  # bytes of a worker's snapshot
_HEAD = 8  # its length and its checksum

Key = tuple[str, str]  # name and version of a model; empty for requests to none


class WorkerFigures(msgspec.Struct):
    """The figures of one worker."""

    requests: dict[str, int] = {}  # by "model\tversion\tstatus"
    rows: dict[str, int] = {}  # by "model\tversion"
    executions: dict[str, int] = {}  # calls of the model that gave answers
    seconds: dict[str, float] = {}
    failed: dict[str, float] = {}  # seconds of requests that were refused
    latest: dict[str, float] = {}  # time of the latest request, in seconds since 1970
    buckets: dict[str, list[int]] = {}
    reloads: dict[str, int] = {}  # by outcome
    gauges: dict[str, int] = {}
    digests: dict[str, str] = {}  # of the bundles that the worker serves, by "name\tversion"


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(WorkerFigures).decode


class Board:
    """Memory that the workers share: one slot for each, which only this worker writes. Made before they are forked."""

    def __init__(self, workers: int) -> None:
        self._memory, self.workers = mmap.mmap(-1, workers * _SLOT), workers

    def write(self, worker: int, figures: WorkerFigures) -> None:
        """Publish the figures of a worker; those of more models than fit stay out."""
        data = _encode(figures)
        if len(data) > _SLOT - _HEAD:
            return
        start = worker * _SLOT
        head = len(data).to_bytes(4, "little") + zlib.crc32(data).to_bytes(4, "little")
        self._memory[start : start + _HEAD + len(data)] = head + data

    def read(self, worker: int) -> WorkerFigures | None:
        """The figures of a worker; None before its first, or where it wrote meanwhile."""
        start = worker * _SLOT
        for _ in range(5):
            head = self._memory[start : start + _HEAD]
            size = int.from_bytes(head[:4], "little")
            data = self._memory[start + _HEAD : start + _HEAD + min(size, _SLOT - _HEAD)]
            if size and zlib.crc32(data) == int.from_bytes(head[4:], "little"):
                return _decode(data)
        return None


class Metrics:
    """The figures of this worker, which goes on counting where an earlier process in its place ended."""

    def __init__(self, board: Board, worker: int) -> None:
        self._board, self._worker = board, worker
        self._now = board.read(worker) or WorkerFigures()
        self._now.gauges = {}

    def count(self, key: Key, status: int, rows: int, executions: int, seconds: float) -> None:
        """One answered request; `executions` is 0 where another request's call of the model gave the answer."""
        name = f"{key[0]}\t{key[1]}"
        now, place = self._now, f"{name}\t{status}"
        now.requests[place] = now.requests.get(place, 0) + 1
        if key[0]:
            now.rows[name] = now.rows.get(name, 0) + rows
            now.seconds[name] = now.seconds.get(name, 0.0) + seconds
            now.latest[name] = time.time()
            if status == 200:
                now.executions[name] = now.executions.get(name, 0) + executions
            else:
                now.failed[name] = now.failed.get(name, 0.0) + seconds
            buckets = now.buckets.get(name)
            if buckets is None:
                buckets = now.buckets[name] = [0] * (len(BUCKETS) + 1)
            buckets[bisect_left(BUCKETS, seconds)] += 1

    def reloaded(self, outcome: str) -> None:
        """One reload of the bundles that succeeded or failed."""
        self._now.reloads[outcome] = self._now.reloads.get(outcome, 0) + 1

    def publish(self, gauges: Mapping[str, int], digests: Mapping[Key, str]) -> None:
        """Show the figures of this worker, and the digests of its bundles, to the others and to the parent."""
        self._now.gauges, self._now.digests = dict(gauges), {"\t".join(key): digest for key, digest in digests.items()}
        self._board.write(self._worker, self._now)

    def total(self) -> WorkerFigures:
        """The figures of all workers; those of the others are up to a second old."""
        others = (self._board.read(worker) for worker in range(self._board.workers) if worker != self._worker)
        return _total([self._now, *(one for one in others if one is not None)])

    def text(self, gauges: Mapping[str, int], digests: Mapping[Key, str]) -> str:
        """The figures of all workers in Prometheus' text format."""
        self.publish(gauges, digests)
        return "\n".join(_lines(self.total(), digests)) + "\n"


def _total(figures: Iterable[WorkerFigures]) -> WorkerFigures:
    total = WorkerFigures()
    for one in figures:
        for field in ("requests", "rows", "executions", "seconds", "failed", "reloads", "gauges"):
            sums = getattr(total, field)
            for name, value in getattr(one, field).items():
                sums[name] = sums.get(name, 0) + value
        for name, moment in one.latest.items():
            total.latest[name] = max(moment, total.latest.get(name, 0.0))
        for name, counts in one.buckets.items():
            held = total.buckets.get(name, [0] * len(counts))
            total.buckets[name] = [a + b for a, b in zip(held, counts, strict=True)]
    return total


def _lines(total: WorkerFigures, digests: Mapping[Key, str]) -> Iterable[str]:
    yield from _head("requests_total", "counter", "Answered requests, by status.")
    for place, count in sorted(total.requests.items()):
        model, version, status = place.split("\t")
        yield f'aaptvae_requests_total{{model="{model}",version="{version}",status="{status}"}} {count}'
    yield from _head("rows_total", "counter", "Rows in answers.")
    for place, count in sorted(total.rows.items()):
        yield f"aaptvae_rows_total{_labels(place)} {count}"
    yield from _head("executions_total", "counter", "Calls of a model; requests that come together share one.")
    for place, count in sorted(total.executions.items()):
        yield f"aaptvae_executions_total{_labels(place)} {count}"
    yield from _head("request_seconds", "histogram", "From the last byte of a request to its answer.")
    for place, counts in sorted(total.buckets.items()):
        below = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            below += count
            yield f'aaptvae_request_seconds_bucket{_labels(place)[:-1]},le="{bound}"}} {below}'
        yield f"aaptvae_request_seconds_sum{_labels(place)} {total.seconds.get(place, 0.0):.6f}"
        yield f"aaptvae_request_seconds_count{_labels(place)} {below}"
    yield from _head("reloads_total", "counter", "Reloads of the bundles.")
    for outcome, count in sorted(total.reloads.items()):
        yield f'aaptvae_reloads_total{{outcome="{outcome}"}} {count}'
    for name, value in sorted(total.gauges.items()):
        yield from (f"# TYPE aaptvae_{name} gauge", f"aaptvae_{name} {value}")
    yield from _head("bundle_info", "gauge", "Digests of the bundles that this worker serves.")
    for (name, version), digest in sorted(digests.items()):
        yield f'aaptvae_bundle_info{{bundle="{name}",version="{version}",sha256="{digest}"}} 1'


def _labels(place: str) -> str:
    model, version = place.split("\t")
    return f'{{model="{model}",version="{version}"}}'


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP aaptvae_{name} {text}", f"# TYPE aaptvae_{name} {kind}"
