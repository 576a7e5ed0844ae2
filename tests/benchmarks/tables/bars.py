"""The bars that no table may fall below, and the results as a Markdown table."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LEAST_NATS = 1.0  # below pPCA's mean or median
LEAST_R2 = 0.002  # below PCA's at L
LEAST_RECALL = 0.01  # the best view below PCA's
KINDS = ("mean", "median")
VIEWS = ("mu", "metric", "similarity")
MIXTURES = ("mixture_2", "mixture_4", "mixture_8")
C2ST = ("c2st", "c2st_as_observed")

Result = Mapping[str, Any]

HEADER = (
    "table",
    "rows x columns, latents",
    "split",
    "log p, mean / median",
    "pPCA",
    "Ledoit-Wolf",
    "best mixture",
    "flow",
    "R2 / PCA",
    "raw R2 / PCA",
    "recall mu / best view",
    "recall PCA / SVD / random",
    "kNN best view / PCA / all",
    "ARI best view / PCA / all",
    "anomaly AUROC / kNN / forest",
    "C2ST",
)


def losses(result: Result) -> Iterator[str]:
    """A sentence for each bar that a table falls below."""
    nats, name = result["log_likelihood"], result["name"]
    for kind in KINDS:
        lost = nats["ppca"][kind] - nats["standard"][kind]
        if not lost <= LEAST_NATS:  # so that NaN is a loss too
            yield f"{name}: {kind} log-likelihood {nats['standard'][kind]:.2f}, {lost:.2f} nats below pPCA"
    for key, called in (("r2", "R2"), ("r2_raw", "R2 in own units")):
        lost = result[key]["pca"] - result[key]["ours"]
        if not lost <= LEAST_R2:
            yield f"{name}: {called} {result[key]['ours']:.4f}, {lost:.4f} below PCA"
    lost = result["recall"]["pca"] - best_view(result["recall"])
    if not lost <= LEAST_RECALL:
        yield f"{name}: recall {best_view(result['recall']):.3f}, {lost:.3f} below PCA"


def best_view(figures: Mapping[str, float]) -> float:
    """The largest figure among the views of the bundle."""
    return max(figures[view] for view in VIEWS if view in figures)


def markdown(results: Iterable[Result]) -> str:
    """A row per table; a figure that falls below a bar is bold."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    return "\n".join(lines + ["| " + " | ".join(_cells(result)) + " |" for result in results])


def _cells(result: Result) -> Iterator[str]:
    nats, r2, raw, recall = (result[key] for key in ("log_likelihood", "r2", "r2_raw", "recall"))
    yield result["name"]
    yield f"{result['rows']:,} x {result['columns']:,}, {result['latents']}"
    yield result["split"]
    lost = not all(nats["ppca"][kind] - nats["standard"][kind] <= LEAST_NATS for kind in KINDS)
    yield _bold(_pair(nats["standard"]), lost)
    yield _pair(nats["ppca"])
    yield _pair(nats["ledoit_wolf"])
    mixtures = [nats[name] for name in MIXTURES if name in nats]
    yield _pair(max(mixtures, key=lambda found: found["mean"])) if mixtures else ""
    yield _pair(nats["flow"]) if "flow" in nats else ""
    yield _bold(_several(r2, "ours", "pca", digits=4), not r2["pca"] - r2["ours"] <= LEAST_R2)
    yield _bold(_several(raw, "ours", "pca", digits=4), not raw["pca"] - raw["ours"] <= LEAST_R2)
    yield _bold(f"{recall['mu']:.3f} / {best_view(recall):.3f}", not recall["pca"] - best_view(recall) <= LEAST_RECALL)
    yield _several(recall, "pca", "svd", "random")
    for key in ("knn_accuracy", "kmeans_ari"):
        found = result.get(key)
        yield f"{best_view(found):.3f} / {_several(found, 'pca', 'all_columns')}" if found else ""
    odd = result.get("anomaly_auroc")
    yield _several(odd, "ours", "knn", "isolation_forest") if odd else ""
    yield _several(result, *(key for key in C2ST if key in result))


def _pair(figures: Mapping[str, float]) -> str:
    return f"{figures['mean']:,.1f} / {figures['median']:,.1f}"


def _several(figures: Mapping[str, float], *names: str, digits: int = 3) -> str:
    return " / ".join(f"{figures[name]:.{digits}f}" for name in names)


def _bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text
