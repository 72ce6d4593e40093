"""onnxruntime on the CPU, quiet."""

import onnxruntime

PROVIDER = "CPUExecutionProvider"
NAME = f"onnxruntime {onnxruntime.__version__}"
_FATAL = 4


class Session:
    """A model loaded into onnxruntime, with its default optimisations.

    What onnxruntime has to say comes as exceptions alone: they are of several unrelated classes.

    Parameters
    ----------
    model : bytes
        A serialised ONNX model.
    """

    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        self._session = onnxruntime.InferenceSession(model, options, providers=[PROVIDER])
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = _FATAL

    def run(self, image):
        """Return every output, by name, of an ndarray given as the only input."""
        name = self._session.get_inputs()[0].name
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {name: image}, self._options), strict=True))
