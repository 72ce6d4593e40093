"""The reference implementation of the package onnx: ``refcnn conform --device onnx.reference``."""

import onnx
from onnx.reference import ReferenceEvaluator

from ..subjects.through_onnx import ThroughOnnx


def make(device=None):
    """Return it; it computes by NumPy alone."""
    if device is not None:
        raise ValueError("onnx.reference has no devices")
    return ThroughOnnx(_computed, "onnx.reference", onnx.__version__)


def _computed(model, feeds):
    return ReferenceEvaluator(model).run(None, feeds)
