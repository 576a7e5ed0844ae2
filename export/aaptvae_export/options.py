"""Options of an export, checked when they are made."""

import math
import re
from dataclasses import dataclass

from aaptvae.bundle.manifest import TOLERANCE, Precision
from aaptvae.errors import InputError

_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ExportOptions:
    """Precisions beside fp32, share of latent variance to keep, a tighter tolerance, a name, least speed of int8.

    `speedup` is int8's least rows per second as a multiple of fp32's. `InputError` for a value out of range.
    """

    precisions: tuple[Precision, ...] = ("fp32",)
    compact: float | None = None
    tolerance: float = TOLERANCE
    name: str | None = None
    speedup: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.tolerance <= TOLERANCE:
            raise InputError(
                f"tolerance is {self.tolerance:g}: expected above 0 and at most {TOLERANCE:g}: it can only be tightened"
            )
        if self.compact is not None and not 0 < self.compact <= 1:
            raise InputError(f"compact is {self.compact}: expected a share of mu's variance above 0, at most 1, such as 0.999")
        if not 0 <= self.speedup < math.inf:
            raise InputError(f"speedup is {self.speedup:g}: expected a factor from 0 up, 3 for three times fp32's speed")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise InputError(f"name is {self.name!r}: expected up to 64 letters, digits, dots, dashes and underscores")
