"""Plots of a finished run, and report.html: `open_report` reads a run, every `plot_*` draws it on axes and returns them.

Names are imported on first use, because matplotlib and torch are slow to import.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .column_plots import plot_error_by_column, plot_feature_histogram, plot_traversal
    from .judged import JudgedRun, open_report
    from .latent_plots import (
        plot_aggregate_posterior,
        plot_kl_spectrum,
        plot_latent_histogram,
        plot_latent_map,
        plot_trajectories,
    )
    from .picture_plots import plot_interpolation, plot_pictures, plot_reconstructions, plot_samples, plot_tiles
    from .plots import plot_reconstruction_errors, plot_spread, plot_training_curves

__all__ = [
    "JudgedRun",
    "open_report",
    "plot_aggregate_posterior",
    "plot_error_by_column",
    "plot_feature_histogram",
    "plot_interpolation",
    "plot_kl_spectrum",
    "plot_latent_histogram",
    "plot_latent_map",
    "plot_pictures",
    "plot_reconstruction_errors",
    "plot_reconstructions",
    "plot_samples",
    "plot_spread",
    "plot_tiles",
    "plot_training_curves",
    "plot_trajectories",
    "plot_traversal",
]

_MODULES = ("judged", "plots", "latent_plots", "column_plots", "picture_plots")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    for module in _MODULES:
        if name in (found := vars(import_module(f".{module}", __name__))):
            return found[name]
    raise AssertionError(f"{name} is in no module")
