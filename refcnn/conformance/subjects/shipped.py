"""The adapters that come with refcnn, by short names."""

import contextlib
import importlib
import sys

from ...errors import BackendError

#: The libraries for which refcnn has an adapter, by the names that devices have, with what pip installs.
PACKAGES = {
    "autograd": "autograd",
    "jax": "jax",
    "ncnn": "ncnn",
    "onnx.reference": "onnx",
    "openvino": "openvino",
    "pytorch": "torch",
    "tensorflow": "tensorflow-cpu",
    "tinygrad": "tinygrad",
}


def load(name, device=None):
    """Return the implementation of a library.

    Parameters
    ----------
    name : str
        One of :data:`PACKAGES`.
    device : str, optional
        One of the library's own, as it names them; its first choice as a rule.

    Raises
    ------
    BackendError
        If the library is not installed, or does not compute there.
    """
    module = f"refcnn.conformance.adapters.{name.replace('.', '_')}"
    try:
        # Standard output is the command's own.
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(module).make(device)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"the device {name} cannot be tested: {error}. Install it: pip install {PACKAGES[name]}."
        ) from error
    except Exception as error:
        # The library is not refcnn's, and may raise anything.
        where = name if device is None else f"{name}:{device}"
        raise BackendError(f"the device {where} cannot be tested: {type(error).__name__}: {error}") from error
