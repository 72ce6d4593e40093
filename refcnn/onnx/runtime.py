"""onnxruntime on the CPU, quiet."""

import onnxruntime

PROVIDER = "CPUExecutionProvider"
NAME = f"onnxruntime {onnxruntime.__version__}"
_FATAL = 4


class Session:
    """A model loaded into onnxruntime.

    What onnxruntime has to say comes as exceptions alone: they are of several unrelated classes.

    Parameters
    ----------
    model : bytes or str
        A serialised ONNX model, or the path of one, beside which its data may lie.
    is_optimised : bool
        Whether with its default optimisations, or none.
    """

    def __init__(self, model, is_optimised=True):
        options = onnxruntime.SessionOptions()
        if not is_optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = _FATAL
        self._session = onnxruntime.InferenceSession(model, options, providers=[PROVIDER])
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = _FATAL

    def run(self, *inputs):
        """Return every output, by name, of ndarrays given as the inputs."""
        given = dict(zip([entry.name for entry in self._session.get_inputs()], inputs, strict=True))
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, given, self._options), strict=True))
