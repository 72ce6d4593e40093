"""HTML pages of runs and of ONNX files: their data, which ``report.schema.json`` describes, and how they are drawn."""
