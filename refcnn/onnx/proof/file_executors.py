"""The executors of a file, for whatever program it has on inputs of some shapes, and the operators of the file."""

import onnx

from ... import backend as backends
from .executors import BackendExecutor, OnnxRuntimeExecutor

#: What onnxruntime is called among devices.
ONNXRUNTIME = "onnxruntime"


class FileExecutors:
    """What can run a file.

    Parameters
    ----------
    model : ImportedModel
    whole : onnx.ModelProto
        As :func:`refcnn.onnx.reading.foreign.read_with_graph` gives both.
    """

    def __init__(self, model, whole):
        self._whole, self._runtime = whole, None
        self._nodes = {name: str(node) for node in model.nodes for name in node.outputs if name}

    def executor(self, device, program):
        """Return what computes a program of the file on ``onnxruntime``, ``reference`` or an OpenCL device."""
        if device != ONNXRUNTIME:
            return BackendExecutor(program, backends.find(device))
        tensors = self.tensors(program)
        if self._runtime is None:
            self._runtime = OnnxRuntimeExecutor(self._whole, tensors, program.outputs, "")
        return self._runtime.of(tensors)

    def tensors(self, program):
        """Return the tensors of the file that a program computes, by name an onnx.ValueInfoProto."""
        names = {name for step in program.steps for name in step.results if name in self._nodes}
        return {name: onnx.ValueInfoProto(name=name) for name in sorted(names)}

    def node(self, program, step):
        """Return the operator of the file that a step belongs to: that of the first tensor computed from it."""
        if step is None:
            return ""
        names = set(filter(None, step.results))
        for later in program.steps[program.steps.index(step) :]:
            found = [self._nodes[name] for name in later.results if name in self._nodes]
            if (names & set(later.results) or names & set(later.inputs)) and found:
                return found[0]
            if names & set(later.inputs):
                names |= set(filter(None, later.results))
        return step.operation
