"""OpenVINO: ``refcnn conform --device openvino``, or ``openvino:GPU``. It computes ONNX models, in float32 in full."""

import openvino

from ..subjects.base import NotExpressible
from ..subjects.through_onnx import ThroughOnnx

#: On processors with bfloat16 it would compute in that, and in an order that depends on the load.
_OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY", "INFERENCE_NUM_THREADS": 1}


def make(device=None):
    """Return OpenVINO on one of its devices, the processor as a rule."""
    core, device = openvino.Core(), device or "CPU"
    if device not in core.available_devices:
        raise ValueError(f"OpenVINO has {', '.join(core.available_devices)}")

    def compute(model, feeds):
        try:
            read = core.read_model(model.SerializeToString(deterministic=True))
        except RuntimeError as error:
            if "No conversion rule" not in str(error):
                raise
            raise NotExpressible(f"OpenVINO has no such operator: {error}") from None
        options = _OPTIONS if device == "CPU" else {"INFERENCE_PRECISION_HINT": "f32"}
        # The results lie in OpenVINO's own memory.
        return [result.copy() for result in core.compile_model(read, device, options)(feeds).values()]

    return ThroughOnnx(compute, f"OpenVINO on {device}", openvino.__version__)
