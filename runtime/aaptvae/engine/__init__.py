"""onnxruntime: sessions, chunks of rows, threads, and how many CPUs there are."""
