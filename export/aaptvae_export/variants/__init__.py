"""Smaller or faster graphs beside fp32: int8, fp16, low-rank heads, fewer latents."""
