"""onnxruntime as a target: forward of what one ONNX node expresses."""

import functools

import onnx
import onnxruntime

from ...errors import BackendError
from .base import HostTarget, NotExpressible, versions

_OPSET = 17
_FATAL = 4


def providers():
    """Return the execution providers that this installation of onnxruntime has and that compute on this machine."""
    return [name for name in onnxruntime.get_available_providers() if name != "AzureExecutionProvider"]


def node(operation, inputs, attributes):
    """Return what one ONNX node takes to compute an operation.

    Returns
    -------
    (name, inputs, attributes) : (str, list of ndarray, dict)
        None if no single node expresses it.
    """
    if operation == "conv2d":
        x, w, b = inputs
        return (
            "Conv",
            [x, w] if b is None else [x, w, b.reshape(-1)],
            {
                "kernel_shape": w.shape[2:],
                "strides": attributes["stride"],
                "pads": attributes["padding"],
                "dilations": attributes["dilation"],
                "group": attributes["groups"],
            },
        )
    if operation in ("max_pool2d", "average_pool2d"):
        entries = {"kernel_shape": attributes["kernel"], "strides": attributes["stride"], "pads": attributes["padding"]}
        if operation == "max_pool2d":
            return "MaxPool", list(inputs), entries
        return "AveragePool", list(inputs), {**entries, "count_include_pad": int(attributes["count_include_padding"])}
    name = {"dense": "Gemm", "relu": "Relu", "add": "Add", "softmax": "Softmax"}.get(operation)
    if name is None:
        return None
    return name, [entry for entry in inputs if entry is not None], {"axis": 1} if name == "Softmax" else {}


OPERATIONS = ("add", "average_pool2d", "conv2d", "dense", "max_pool2d", "relu", "softmax")


class OnnxRuntime(HostTarget):
    """One execution provider of onnxruntime.

    Parameters
    ----------
    provider : str
        ``CPUExecutionProvider``, ``CUDAExecutionProvider``, ...; upper and lower case are the same.

    Raises
    ------
    BackendError
        If this onnxruntime has no such provider.
    """

    # Neither it nor ONNX says that subnormal numbers are kept; its softmax loses them on CPUs without AVX-512.
    denormals = False

    def __init__(self, provider):
        known = {name.lower(): name for name in providers()}
        if provider.lower() not in known:
            raise BackendError(
                f"onnxruntime {onnxruntime.__version__} has no provider {provider!r}. It has {', '.join(providers())}."
            )
        self._provider = known[provider.lower()]
        self.name = self.specification = f"onnxruntime:{self._provider}"
        self.description = {
            "name": self._provider,
            "platform": "onnxruntime",
            "driver": onnxruntime.__version__,
            "versions": versions("onnx", "onnxruntime"),
        }

    def offers(self, stem, direction):
        """Forward of what one node expresses."""
        return direction == "forward" and stem in OPERATIONS

    def operation(self, stem):
        """``forward`` as a model of one node."""
        return _Node(stem, self._provider) if stem in OPERATIONS else None


class _Node:
    def __init__(self, stem, provider):
        self._stem, self._provider = stem, provider

    def forward(self, *inputs, **attributes):
        kind, arrays, entries = node(self._stem, inputs, attributes)
        session = _session(kind, tuple(array.shape for array in arrays), tuple(entries.items()), self._provider)
        return session.run(None, dict(zip(_names(arrays), arrays, strict=True)))[0], None

    def backward(self, dy, saved, needs, **attributes):
        raise NotExpressible(f"onnxruntime computes no gradients of {self._stem}")


def one_node_model(operation, inputs, attributes):
    """Return the serialised ONNX model that an operation is tested with, or None where ONNX has no such node.

    All its inputs are the model's, named ``input_0`` and so on.
    """
    found = node(operation, inputs, attributes)
    if found is None:
        return None
    kind, arrays, entries = found
    return _model(kind, tuple(array.shape for array in arrays), tuple(entries.items()))


def _names(arrays):
    return [f"input_{index}" for index in range(len(arrays))]


def _model(kind, shapes, attributes):
    names, kind_of_number = _names(shapes), onnx.TensorProto.FLOAT
    inputs = [
        onnx.helper.make_tensor_value_info(*entry)
        for entry in ((name, kind_of_number, shape) for name, shape in zip(names, shapes, strict=True))
    ]
    output = onnx.helper.make_tensor_value_info("y", kind_of_number, None)
    call = onnx.helper.make_node(kind, names, ["y"], **dict(attributes))
    graph = onnx.helper.make_graph([call], kind, inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=8)
    return model.SerializeToString(deterministic=True)


@functools.lru_cache(maxsize=16)
def _session(kind, shapes, attributes, provider):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL
    # TensorFloat-32 is no float32: it keeps ten bits of the fraction.
    settings = {"use_tf32": "0"} if provider == "CUDAExecutionProvider" else {}
    if provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    model = _model(kind, shapes, attributes)
    session = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
    if session.get_providers()[0] != provider:
        raise BackendError(f"onnxruntime could not start {provider}, and took {session.get_providers()[0]} instead.")
    return session
