"""The network, its feature scaler, its loss, and the same model for numpy arrays."""
