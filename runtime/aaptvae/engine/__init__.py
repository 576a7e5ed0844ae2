"""onnxruntime: sessions, the threads that share rows among them, and the number of CPUs."""

from .cpus import multiplies_bytes, usable_cpus
from .memory import new_output, require_memory
from .network import Network, Provider, Settings, onnxruntime, open_session

__all__ = [
    "Network",
    "Provider",
    "Settings",
    "multiplies_bytes",
    "new_output",
    "onnxruntime",
    "open_session",
    "require_memory",
    "usable_cpus",
]
