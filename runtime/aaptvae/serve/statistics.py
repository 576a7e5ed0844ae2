"""Figures of a model as JSON, in Triton's statistics extension.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from .metrics import Key, WorkerFigures

_UNKNOWN = {"count": 0, "ns": 0}
_PARTS = ("queue", "compute_input", "compute_infer", "compute_output", "cache_hit")  # of a request, not measured one by one


def statistics(total: WorkerFigures, key: Key) -> dict[str, object]:
    """The figures of the model `key`; times are from the last byte of a request to its answer."""
    place = "\t".join(key)
    done = total.requests.get(f"{place}\t200", 0)
    answered = sum(count for name, count in total.requests.items() if name.startswith(f"{place}\t"))
    failed = total.failed.get(place, 0.0)
    return {
        "name": key[0],
        "version": key[1],
        "last_inference": int(1e3 * total.latest.get(place, 0.0)),
        "inference_count": total.rows.get(place, 0),
        "execution_count": total.executions.get(place, 0),
        "inference_stats": {
            "success": _duration(done, total.seconds.get(place, 0.0) - failed),
            "fail": _duration(answered - done, failed),
            **dict.fromkeys(_PARTS, _UNKNOWN),
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": max(0, int(1e9 * seconds))}
