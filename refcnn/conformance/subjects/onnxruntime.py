"""onnxruntime as a subject: forward of what ONNX's operators express, as the cards say."""

import functools

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplemented_

from ...errors import BackendError
from ...onnx import operators
from ...version import versions
from .base import HostSubject, NotExpressible
from .through_onnx import computed_alone

_FATAL = 4


def providers():
    """Return the execution providers that this installation of onnxruntime has and that compute on this machine."""
    return [name for name in onnxruntime.get_available_providers() if name != "AzureExecutionProvider"]


class OnnxRuntime(HostSubject):
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
        """Forward of what has an ONNX mapping."""
        return direction == "forward" and operators.is_mapped(stem)

    def operation(self, stem):
        """``forward`` as a model of that operation alone."""
        return _Alone(stem, self._provider) if operators.is_mapped(stem) else None


#: What it says, or said, of a transposed convolution of which the padding leaves nothing but the output padding.
_NOTHING_LEFT = ("Computed output dimension is <= 0", "dim_size > 0 was false")


class _Alone:
    def __init__(self, stem, provider):
        self._stem, self._provider = stem, provider

    def forward(self, *inputs, **attributes):
        return computed_alone(self._computed, self._stem, *inputs, **attributes), None

    def _computed(self, model, feeds):
        try:
            return _session(model.SerializeToString(deterministic=True), self._provider).run(None, feeds)
        except NotImplemented_ as error:
            # It has no kernel of these dtypes, say, which is no wrong answer.
            raise NotExpressible(f"onnxruntime has no {self._stem} of this kind: {error}") from None
        except (InvalidArgument, RuntimeException) as error:
            if not any(text in str(error) for text in _NOTHING_LEFT):
                raise
            raise NotExpressible(f"onnxruntime refuses a result that is output padding alone: {error}") from None

    def backward(self, dy, saved, needs, **attributes):
        raise NotExpressible(f"onnxruntime computes no gradients of {self._stem}")


@functools.lru_cache(maxsize=16)
def _session(model, provider):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL
    # TensorFloat-32 is no float32: it keeps ten bits of the fraction.
    settings = {"use_tf32": "0"} if provider == "CUDAExecutionProvider" else {}
    if provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
    if session.get_providers()[0] != provider:
        raise BackendError(f"onnxruntime could not start {provider}, and took {session.get_providers()[0]} instead.")
    return session
