"""What is judged: the file in onnxruntime, and its program on refcnn's backends."""

import contextlib
import copy
import dataclasses
import math
import threading

import numpy as np
from onnx import numpy_helper

from ...conformance.running import known_faults
from ...conformance.subjects.onnxruntime import OnnxRuntime
from ...errors import ExportError, UnsupportedError
from ...formats import FLOAT16
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
        self._stepwise, self._folder, self._loading = None, folder, threading.Lock()
        with self._explained("does not load the file"):
            self._session = self._loaded(model)

    def of(self, tensors):
        """Return it for a program with other results, by the name of each its tensor."""
        if tensors.keys() == self._tensors.keys():
            return self
        other = copy.copy(self)
        other._tensors, other._stepwise = tensors, None
        return other

    def computed(self, inputs):
        """Return what it computes: of the file as it is deployed, and of a copy that has all tensors as outputs."""
        outputs = self.outputs(inputs)
        with self._explained("cannot run the file with every intermediate tensor as an output"):
            with self._loading:
                model = with_outputs(self._model, self._tensors.values())
                self._stepwise = self._stepwise or self._loaded(model, is_optimised=False)
            arrays = self._stepwise.run(*inputs)
        return Computed.by(self, outputs, {name: arrays[value.name] for name, value in self._tensors.items()})

    def outputs(self, inputs):
        """Return the outputs of the file as it is deployed, by name."""
        with self._explained(f"cannot run the file on {_shapes(inputs)}"):
            found = self._session.run(*inputs)
        return dict(zip(self._outputs, found.values(), strict=True))

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
        return known_fault(self._description, operation, case, verdict)

    @contextlib.contextmanager
    def _explained(self, what):
        try:
            yield
        except Exception as error:
            raise ExportError(f"{self.name} {what}: {str(error).strip()} {self._advice}") from None


@dataclasses.dataclass(frozen=True)
class Computed:
    """What an executor computed of some inputs; UnsupportedError where that was in float16.

    Attributes
    ----------
    name : str
    backend : Backend or None
    known_fault : callable
        As of the executor.
    outputs : dict of str to ndarray
        As it is in use.
    steps : dict of str to ndarray
        Every step's results, each operation by itself.
    """

    name: str
    backend: object
    known_fault: object
    outputs: dict
    steps: dict

    def __post_init__(self):
        for name, array in self.steps.items():
            if array.dtype == FLOAT16.dtype:
                raise UnsupportedError(
                    f"it computes {name!r} in float16, of which nothing is proved: bounds are of float32. Keep "
                    "float16 for weights, and let a Cast to float32 follow each."
                )

    @classmethod
    def by(cls, executor, outputs, steps):
        """Return what an executor computed."""
        return cls(executor.name, executor.backend, executor.known_fault, outputs, steps)


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

    def computed(self, inputs):
        """Return what it computes: with operations fused as they are in use, and each operation by itself."""
        arrays = self._run(inputs)
        # Where nothing waits to be fused, every operation was computed by itself.
        are_fused = any(hasattr(array, "computed") for array in arrays.values())
        outputs = self._outputs(arrays)
        arrays = self._run(inputs, _computed) if are_fused else arrays
        results = (name for step in self._program.steps for name in step.results if name is not None)
        return Computed.by(self, outputs, {name: self.backend.to_host(arrays[name]) for name in results})

    def outputs(self, inputs):
        """Return the outputs with operations fused as they are in use, by name."""
        return self._outputs(self._run(inputs))

    def _outputs(self, arrays):
        return {name: self.backend.to_host(arrays[name]) for name in self._program.outputs}

    def known_fault(self, operation, case, verdict):
        """None: what is wrong here is refcnn's, or makes a device unfit for it."""
        return None

    def _run(self, inputs, each=lambda arrays: None):
        with np.errstate(all="ignore"):
            return self._program.run(self.backend, self._constants, list(map(self.backend.array, inputs)), each)


def with_outputs(model, tensors):
    """Return a copy of a model whose outputs are others, each an onnx.ValueInfoProto that counts once."""
    found = type(model)()
    found.CopyFrom(model)
    del found.graph.output[:]
    found.graph.output.extend({value.name: value for value in tensors}.values())
    return found


def known_fault(description, operation, case, verdict):
    """Return the fault that explains a wrong result of an operation, of a device with a description, or None."""
    watch = known_faults.watch(description, operation, "forward", None)
    return watch.explain(case, verdict, verdict.difference_of_wrong)


def _computed(arrays):
    # An array that waits to be computed together with what follows is computed now.
    for array in arrays.values():
        if hasattr(array, "computed"):
            array.computed()


def _shapes(inputs):
    return " and ".join(f"an array of shape {array.shape}" for array in inputs)
