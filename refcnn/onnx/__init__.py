"""ONNX files: writing a model with a proof that the file computes what the model does, and reading it again.

onnx, onnxruntime and Hypothesis are imported at the first export or load, not with this package.
"""

from .exporting import export
from .reading.loading import OnnxModel, load
