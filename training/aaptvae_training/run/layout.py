"""The name of every file in the folder of a run."""

CONFIG = "config.json"
STATISTICS = "statistics.safetensors"
HELD_OUT = "heldout.safetensors"
LAST = "last/state.safetensors"  # what an interrupted training continues from
BEST = "best.safetensors"
METRICS = "metrics.jsonl"
PRIOR = "prior.safetensors"
MARGINALS = "marginals.safetensors"
METRIC = "metric.safetensors"
SIMILARITY = "similarity.safetensors"
EVALUATION = "evaluation.json"
REFIT = "refit"  # a folder like the run's own: the model fitted again to all rows
REPORT = "report.html"
RUN = "run"  # the name of the run in a temporary folder
