"""ONNX's own interface to what runs its files, ``onnx.backend.base.Backend``, for refcnn's backends.

Devices are ``REFERENCE``, ``OPENCL`` (the best device), ``OPENCL:P:D`` (one of them) and ``CPU``, which is OpenCL where
there is a device and else the reference.
"""

from typing import Any

import numpy as np
import onnx
import onnx.backend.base

from .. import backend as backends
from ..errors import ArgumentError, BackendError
from .reading.loading import load

_NAMES = {"REFERENCE": "reference", "OPENCL": "opencl", "CPU": "auto"}


class Representation(onnx.backend.base.BackendRep):
    """A model that is ready to run on a backend."""

    def __init__(self, model, backend):
        self.model, self._backend = model, backend

    def run(self, inputs: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        """Return the outputs of a list of arrays, one for each input of the graph, or of one array.

        Inputs that have a value in the file may follow, where the file's version lets them be given.
        """
        given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        with backends.use_backend(self._backend):
            return self.model.run(given)


class Backend(onnx.backend.base.Backend):
    """refcnn as a backend of ONNX."""

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> Representation:
        """Return a model, or the path of one, ready to run on a device.

        Raises
        ------
        ArgumentError, BackendError
            If there is no such device.
        DataError
            If the model is broken, or needs what refcnn does not have.
        """
        backend = _backend(device)
        with backends.use_backend(backend):
            return Representation(load(model), backend)

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[np.ndarray, ...]:
        """Return the outputs of a model: :meth:`prepare`, then run."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[np.ndarray, ...]:
        """Return the outputs of one operator, of the newest version or that of ``opset_version``."""
        arrays = [np.asarray(entry) for entry in inputs]
        names = [name for name in node.input if name]
        infos = [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, arrays, strict=True)
        ]
        outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], node.op_type, infos, outputs)
        version = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)])
        return cls.run_model(model, arrays, device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether there is such a device here."""
        try:
            _backend(device)
        except (ArgumentError, BackendError):
            return False
        return True


def _backend(device):
    name, _, place = device.upper().partition(":")
    if name not in _NAMES or (place and name != "OPENCL"):
        raise ArgumentError(f"the device is {device!r}. Give REFERENCE, OPENCL, OPENCL:PLATFORM:DEVICE or CPU.")
    return backends.find(f"{_NAMES[name]}:{place}" if place else _NAMES[name])


prepare, run_model, run_node = Backend.prepare, Backend.run_model, Backend.run_node
supports_device = Backend.supports_device
