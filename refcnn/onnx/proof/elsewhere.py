"""A file that onnxruntime runs elsewhere, such as in a page: what is needed for that, and what was computed."""

import functools

from ...conformance.subjects.onnxruntime import OnnxRuntime
from .. import runtime
from .executors import Computed, known_fault, with_outputs


class Elsewhere:
    """A file on inputs of some shape, as :meth:`refcnn.onnx.proof.beside.FileBeside.elsewhere` gives it.

    Parameters
    ----------
    program : Program
    whole : onnx.ModelProto
        With all its data.
    executors : FileExecutors

    Attributes
    ----------
    program : Program
    input : str
        The name of the file's input.
    outputs, tensors : tuple of str
        The names of the file's outputs, and of all that its operators compute.
    """

    def __init__(self, program, whole, executors):
        self.program, self._whole = program, whole
        self._tensors = executors.tensors(program)
        (self.input,) = program.inputs
        self.outputs, self.tensors = tuple(entry.name for entry in whole.graph.output), tuple(self._tensors)

    @property
    def results(self):
        """The Variables of the outputs and then of the tensors, which have their shapes and dtypes."""
        return [self.program.variables[name] for name in (*self.program.outputs, *self.tensors)]

    @property
    def size(self):
        """Of the file, in bytes."""
        return self._whole.ByteSize()

    def deployed(self):
        """Return the file's bytes."""
        return self._whole.SerializeToString(deterministic=True)

    def stepwise(self):
        """Return the bytes of a copy whose outputs are all tensors; it is to be run without optimisation."""
        return with_outputs(self._whole, self._tensors.values()).SerializeToString(deterministic=True)

    def computed(self, name, version, arrays):
        """Return the :class:`Computed` of an onnxruntime that computes on the CPU.

        Parameters
        ----------
        name, version : str
        arrays : sequence of ndarray
            In the order of the results, the outputs by the file and the tensors by its copy.
        """
        description = {**OnnxRuntime(runtime.PROVIDER).description, "driver": version}
        outputs = dict(zip(self.program.outputs, arrays, strict=False))
        tensors = dict(zip(self.tensors, arrays[len(self.outputs) :], strict=True))
        return Computed(name, None, functools.partial(known_fault, description), outputs, tensors)
