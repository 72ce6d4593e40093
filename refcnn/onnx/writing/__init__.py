"""Programs as ONNX graphs."""
