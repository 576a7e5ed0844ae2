"""From a trained model to ONNX graphs."""
