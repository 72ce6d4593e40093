"""What is judged: the file in onnxruntime, and its program on refcnn's backends."""

import contextlib
import copy
import math

import numpy as np
from onnx import numpy_helper

from ...conformance.running import known_faults
from ...conformance.subjects.onnxruntime import OnnxRuntime
from ...errors import ExportError
from .. import operators, runtime

#: Elements that a message shows of an array.
_SHORT = 16


class OnnxRuntimeExecutor:
    """A file's own bytes in onnxruntime: as deployed, and without optimisation, so that every tensor can be seen.

    Parameters
    ----------
    model : onnx.ModelProto
        What the file holds.
    tensors : dict of str to onnx.ValueInfoProto
        By the name of a result in the program its tensor.
    outputs : sequence of str
        The program's outputs, in the order of the file's.
    advice : str
        What to look at if it cannot run the file.
    folder : pathlib.Path, optional
        Where data lies that the model keeps beside itself.
    """

    backend = None

    def __init__(self, model, tensors, outputs, advice, folder=None):
        self.name, self._description = runtime.NAME, OnnxRuntime(runtime.PROVIDER).description
        self._model, self._tensors, self._outputs, self._advice = model, tensors, outputs, advice
        self._stepwise, self._folder = None, folder
        with self._explained("does not load the file"):
            self._session = self._loaded(model)

    def of(self, tensors):
        """Return it for a program with other results, by the name of each its tensor."""
        if tensors.keys() == self._tensors.keys():
            return self
        other = copy.copy(self)
        other._tensors, other._stepwise = tensors, None
        return other

    def outputs(self, inputs):
        """Return the outputs by name, of the file as it is deployed."""
        with self._explained(f"cannot run the file on {_shapes(inputs)}"):
            found = self._session.run(*inputs)
        return dict(zip(self._outputs, found.values(), strict=True))

    def steps(self, inputs):
        """Return every step's results by name, of a copy of the file that has all tensors as outputs."""
        with self._explained("cannot run the file with every intermediate tensor as an output"):
            if self._stepwise is None:
                model = type(self._model)()
                model.CopyFrom(self._model)
                del model.graph.output[:]
                model.graph.output.extend({value.name: value for value in self._tensors.values()}.values())
                self._stepwise = self._loaded(model, is_optimised=False)
            arrays = self._stepwise.run(*inputs)
        return {name: arrays[value.name] for name, value in self._tensors.items()}

    def _loaded(self, model, **options):
        content = model.SerializeToString(deterministic=True)
        if self._folder is None:
            return runtime.Session(content, **options)
        # Data beside it is found from its own path alone.
        path = self._folder / "proved.onnx"
        try:
            path.write_bytes(content)
            return runtime.Session(str(path), **options)
        finally:
            path.unlink(missing_ok=True)

    def written(self, label):
        """Return the ONNX operators that were written for a step, for messages."""
        graph, (version,) = self._model.graph, self._model.opset_import
        # Parameters and tables go by their names.
        small = [one for one in graph.initializer if one.name.startswith(f"{label}.") and math.prod(one.dims) <= _SHORT]
        values = {one.name: numpy_helper.to_array(one).tolist() for one in small}
        texts = []
        for node in graph.node:
            if node.name == label or node.name.startswith(f"{label}."):
                entries = operators.arguments(node, version.version, values).items()
                texts.append(f"{node.op_type}({', '.join(f'{name}={value}' for name, value in entries)})")
        return ", ".join(texts)

    def known_fault(self, operation, case, verdict):
        """Return the fault of onnxruntime's own that explains a wrong result of an operation, or None."""
        watch = known_faults.watch(self._description, operation, "forward", None)
        return watch.explain(case, verdict, verdict.difference_of_wrong)

    @contextlib.contextmanager
    def _explained(self, what):
        try:
            yield
        except Exception as error:
            raise ExportError(f"{self.name} {what}: {str(error).strip()} {self._advice}") from None


class Computed:
    """An executor that computed some inputs already.

    Parameters
    ----------
    executor : OnnxRuntimeExecutor or BackendExecutor
    inputs : sequence of ndarray
    """

    def __init__(self, executor, inputs):
        self.name, self.backend, self.known_fault = executor.name, executor.backend, executor.known_fault
        self._outputs, self._steps = executor.outputs(inputs), executor.steps(inputs)

    def outputs(self, inputs):
        """As of the executor, for those inputs."""
        return self._outputs

    def steps(self, inputs):
        """As of the executor, for those inputs."""
        return self._steps


class BackendExecutor:
    """A program on a backend.

    Parameters
    ----------
    program : Program
    backend : Backend
    """

    def __init__(self, program, backend):
        self.name, self._program, self.backend = backend.name, program, backend
        self._constants = {name: backend.array(array) for name, array in program.constants.items()}
        self._alone = None, None

    def outputs(self, inputs):
        """Return the outputs by name, with operations fused as they are in use."""
        arrays = self._run(inputs)
        if not any(hasattr(array, "computed") for array in arrays.values()):
            # Nothing waits to be fused here: every operation was computed by itself.
            self._alone = inputs, arrays
        return {name: self.backend.to_host(arrays[name]) for name in self._program.outputs}

    def steps(self, inputs):
        """Return every step's results by name, each operation by itself."""
        given, arrays = self._alone
        self._alone = None, None
        arrays = arrays if given is inputs else self._run(inputs, _computed)
        results = (name for step in self._program.steps for name in step.results if name is not None)
        return {name: self.backend.to_host(arrays[name]) for name in results}

    def known_fault(self, operation, case, verdict):
        """None: what is wrong here is refcnn's, or makes a device unfit for it."""
        return None

    def _run(self, inputs, each=lambda arrays: None):
        with np.errstate(all="ignore"):
            return self._program.run(self.backend, self._constants, list(map(self.backend.array, inputs)), each)


def _computed(arrays):
    # An array that waits to be computed together with what follows is computed now.
    for array in arrays.values():
        if hasattr(array, "computed"):
            array.computed()


def _shapes(inputs):
    return " and ".join(f"an array of shape {array.shape}" for array in inputs)
