"""INPUT of a command as the rows of a model: columns matched by name, conditions beside them, errors that name the file."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ...conditions import Conditions
from ...errors import InputError
from ...files import Batch, Reading, open_rows
from ...rows import BadRowError, Rows, as_rows, numbered
from ...tables import check_names
from ...tables.names import LATENTS, UNNAMED, in_usual_order, latent_names, listed
from ...vae import VAE
from ..options import reading_of, tell

T = TypeVar("T")


class ModelInput:
    """The open file and the conditions of its rows: those of --condition are of all rows, others are columns of the file.

    `latents` of a view are matched with their own names, features with those that the model was trained with.
    """

    def __init__(self, vae: VAE, options: dict[str, Any], *, latents: str | None = None, **reading: Any) -> None:
        """`InputError` for columns that do not fit and for a condition that is unknown or has no such value."""
        self.vae, self._latents = vae, latents is not None
        self._fixed = Conditions(vae.manifest.conditions).fixed(options["condition"] or None)
        self._held = tuple(name for name in vae.conditions if name not in options["condition"])
        width = vae.input_dim if latents is None else vae.views.width(latents)
        given = Reading(
            width=width,
            expected=vae.columns if latents is None else latent_names(width) if vae.columns else None,
            usual=UNNAMED if latents is None else LATENTS,
            missing=latents is None and vae.manifest.missing == "mean",
            conditions=vae.conditions,
            **reading_of(options) | reading,
        )
        passing = dict.fromkeys((*check_names(given.ids, "--id"), *self._held))  # --id may name conditions too
        self.reader = open_rows(options["input"], format=options["format"], reading=replace(given, ids=tuple(passing)))
        tell((*self.reader.notes, *self._taken_in_order(given)))

    def _taken_in_order(self, given: Reading) -> tuple[str, ...]:
        """A note about names that the bundle cannot match."""
        names = self.reader.columns
        if self._latents or names is None or given.expected or given.columns or in_usual_order(names, UNNAMED) is not None:
            return ()
        taken = f"those of {self.reader.name} are taken in their order, {listed(names)}"
        return (f"this bundle names no columns: {taken}; --columns sets another",)

    def conditions_of(self, batch: Batch, first: int) -> Rows | None:
        """c [n, C] of a batch that begins at row `first`; None for a model without conditions."""
        columns = dict(zip(self.reader.ids, batch.ids, strict=True))
        condition = self._fixed | {name: columns[name] for name in self._held}
        try:
            return self.vae.conditions_of(condition or None, len(batch), first=first)
        except InputError as error:
            kind = BadRowError if isinstance(error, BadRowError) else InputError
            raise kind(f"{self.reader.name}: {error}") from None

    def computed(self, compute: Callable[..., T], batch: Batch, first: int) -> tuple[T, Rows | None]:
        """`compute(vae, rows, condition=c)` of a batch that begins at row `first`, and c [n, C]."""
        values, reader = batch.values if self._latents else self.vae.features(batch.values), self.reader
        rows, c = as_rows(values, reader.width, reader.name, first, reader.columns), self.conditions_of(batch, first)
        with numbered(first, reader.name):
            return compute(self.vae, rows, condition=c), c
