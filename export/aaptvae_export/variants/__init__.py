"""Smaller or faster graphs beside fp32: int8, fp16, low-rank heads, fewer latents."""

from .admission import Admission, Reduced
from .compaction import find_subspace
from .low_rank import factor_heads
from .quantization import CONVERTERS, unfold_scaler
