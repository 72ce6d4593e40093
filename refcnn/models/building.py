"""Models by name: the ready networks, and the user's own."""

import os
import traceback
from collections.abc import Callable, Sequence

import numpy as np

from .. import own_code
from ..errors import ArgumentError, RefcnnError
from ..formats import FLOAT32
from ..mode import recording
from ..model import Model, describe_unlisted, unlisted
from ..suggestions import did_you_mean
from ..variable import Variable
from .alexnet import alexnet
from .chapter import chapter
from .densenet import densenet121
from .lenet5 import lenet5
from .mobilenet import mobilenet_v1, mobilenet_v2
from .resnet import resnet18, resnet34, resnet50
from .squeezenet import squeezenet
from .unet import unet
from .vgg import vgg11, vgg16

#: The ready networks that classify images, by name.
NAMED = {
    function.__name__: function
    for function in (
        chapter,
        lenet5,
        alexnet,
        vgg11,
        vgg16,
        resnet18,
        resnet34,
        resnet50,
        squeezenet,
        mobilenet_v1,
        mobilenet_v2,
        densenet121,
    )
}

#: Those that classify each pixel, which are for Python alone.
OF_PIXELS = {"unet": unet}


def build(name: str, image_shape: Sequence[int], classes: int) -> Model:
    """Return a model with its parameters made, checked to give one logit for each class.

    Parameters
    ----------
    name : str
        One of :data:`NAMED`, or ``MODULE:FUNCTION``: that function of a
        module which can be imported, at last from the current folder too, is called as
        ``FUNCTION(image_shape=(C, H, W), classes=n)`` and returns a
        :class:`~refcnn.model.Model`. It must come from the user, never from a file.
    image_shape : (int, int, int)
        (C, H, W)
    classes : int

    Raises
    ------
    ArgumentError
        If there is no such model, or the user's code raises or returns something else, or computes its output from
        parameters that the model does not list, or from none.
    ShapeError
        If the model does not take the images.
    """
    function: Callable = NAMED.get(name) or _import(name)
    shape = tuple(image_shape)
    model = _call(name, "building the model", lambda: function(image_shape=shape, classes=classes))
    if not isinstance(model, Model):
        raise ArgumentError(
            f"the model {name}: the function returned {type(model).__name__}, but a refcnn Model is expected. "
            "Return a Sequential or an instance of your own subclass of Model."
        )
    # One image makes the parameters, in the order of the layers, and finds what does not fit before any work is done.
    # It is recorded, so that what the tape would miss in training is found too.
    with recording():
        output = _call(name, "running one image of zeros", lambda: model(np.zeros((1, *shape), dtype=FLOAT32.dtype)))
    require_logits(name, model, output, shape, classes, f"End it with Dense({classes}).")
    return model


def require_logits(name, model, output, image_shape, classes, advice):
    """Raise ArgumentError unless what was recorded of a model's output for one image is a logit for each class.

    Parameters
    ----------
    name : str
    model : Model
    output : Variable
    image_shape : (int, int, int)
    classes : int
    advice : str
        What to do where the output has another shape.
    """
    if getattr(output, "shape", None) != (1, classes):
        raise ArgumentError(
            f"the model {name} gives {getattr(output, 'shape', type(output).__name__)} for one image of shape "
            f"{image_shape}, but {(1, classes)}, one logit for each of the {classes} classes, is expected. {advice}"
        )
    is_recorded = isinstance(output, Variable) and output.node is not None
    found = unlisted(model, output) if is_recorded else []
    if found:
        raise ArgumentError(f"the model {name}: {describe_unlisted(found)}")
    if not (is_recorded and output.requires_grad) and next(model.parameters(), None) is not None:
        raise ArgumentError(
            f"the model {name}: no parameter takes part in what forward returns, a {type(output).__name__}, by "
            "refcnn's operations, so none would be trained. Compute it with refcnn's functions and layers alone, "
            "without as_ndarray() in between."
        )


def _import(name):
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ArgumentError(
            f"the model is {name!r}, but the models are {', '.join(NAMED)}, and MODULE:FUNCTION for a function of "
            "your own, such as my_models:small for small(image_shape, classes) in my_models.py in this folder."
            + did_you_mean(name, NAMED)
        )
    try:
        module = own_code.import_named(module_name)
    except ModuleNotFoundError as error:
        raise ArgumentError(
            f"the model {name}: there is no module {error.name!r} in {os.getcwd()} or among the installed packages. "
            f"Run the command in the folder that holds {module_name.partition('.')[0]}.py, or install it."
        ) from error
    except (Exception, SystemExit) as error:
        raise ArgumentError(_failure(name, f"importing {module_name}", error)) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        state = "no function" if function is None else f"{type(function).__name__}, which is no function,"
        raise ArgumentError(
            f"the model {name}: {module.__file__ or module_name} has {state} by the name {function_name!r}. "
            f"{_advice(module_name, function_name)}"
        )
    return function


def _advice(module_name, function_name):
    hidden = own_code.hidden(module_name)
    if hidden is not None:
        return f"{hidden} is not looked at, since an installed module has its name: give it another one."
    return f"Define {function_name}(image_shape, classes) there; it returns a Model."


def _call(name, action, function):
    try:
        return function()
    except RefcnnError:
        raise
    except (Exception, SystemExit) as error:
        if name in NAMED:
            # A fault of refcnn's own, which no advice to the user would mend.
            raise
        raise ArgumentError(_failure(name, action, error)) from error


def _failure(name, action, error):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"the model {name}: {action} raised {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno}). "
        "Mend the function; it is called as FUNCTION(image_shape=(C, H, W), classes=n)."
    )
