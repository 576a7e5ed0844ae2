"""onnxruntime: sessions, the threads that share rows among them, and the number of CPUs."""

from .cpus import multiplies_bytes, usable_cpus
from .network import Network, Provider, Settings, onnxruntime, open_session

__all__ = ["Network", "Provider", "Settings", "multiplies_bytes", "onnxruntime", "open_session", "usable_cpus"]
