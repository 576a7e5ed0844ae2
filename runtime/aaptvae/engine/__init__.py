"""onnxruntime: sessions, the threads that share rows among them, and the number of CPUs."""

from .cpus import usable_cpus
from .memory import new_output, require_memory
from .network import Network, Provider, Settings, onnxruntime
