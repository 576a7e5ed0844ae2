"""A backend for Triton's Python backend, in the place of NVIDIA's own for ONNX Runtime, which no index has.

test_triton.py copies it to backends/onnxruntime/model.py. Triton's part is real: the protocol, the configuration, the batches.
"""

import json
from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as triton  # type: ignore[import-not-found]


class TritonPythonModel:
    """One instance of a model, whose methods Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph that config.pbtxt names."""
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"]) / args["model_version"] / config["default_model_filename"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = [tensor["name"] for tensor in config["input"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer a batch of requests."""
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        """Run the graph on the tensors of one request."""
        values = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        wanted = list(request.requested_output_names())
        arrays = self.session.run(wanted, values)
        return triton.InferenceResponse([triton.Tensor(*pair) for pair in zip(wanted, arrays, strict=True)])
