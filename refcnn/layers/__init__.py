"""The layers: for each operation its class, its function, its checks and its ONNX mapping."""
