"""ONNX files: writing a model with a proof that the file computes what the model does, and reading files.

onnx, onnxruntime and Hypothesis are imported at the first export or load, not with this package.
"""

from .exporting import export
from .reading.loading import ExportedModel, load, open_exported
