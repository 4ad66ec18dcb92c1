"""A trained voice as ONNX graphs: what they are, how they are written and run."""
