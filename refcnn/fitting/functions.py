"""``fit``, ``evaluate`` and ``predict``: training and using a model in one call each."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import attributes
from ..errors import ArgumentError
from ..interruption import stop_if_asked
from ..model import Model
from ..optimizers.optimizer import Optimizer
from ..variable import Variable
from . import metrics, optimizers
from .callbacks import Callback, EpochLines, ProgressBar
from .loop import Loop
from .schedules import Schedule, check_schedule
from .sources import inputs_source, source

#: What makes a loss of a model's output and the target.
Loss = Callable[[Variable, Any], Variable]


def fit(
    model: Model,
    data: Any,
    *,
    validation: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: Optimizer | str = optimizers.DEFAULT,
    loss: Loss = metrics.cross_entropy,
    schedule: Schedule | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    freeze: str | Sequence[str] = (),
    augment: str | Sequence[Callable] | None = None,
    top_k: int = metrics.TOP_K,
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Train a model.

    Parameters
    ----------
    model : Model
        If it has no parameters yet, the first batch makes them.
    data : pair of arrays, DataSet, or iterable of pairs
        ``(x, target)`` with one entry for each example along the first axis, shuffled anew in each epoch; or a
        :class:`refcnn.data.DataSet`; or an iterable of ``(x, target)``, one pair for each batch, which is gone through
        once in each epoch. x may be a tuple of several inputs.
    validation : the same, optional
        What the model is judged by after each epoch; with an optimizer that averages the weights by their averages,
        which the model then has at the end too.
    epochs : int
    batch_size : int
        For what comes not in batches already.
    optimizer : Optimizer or str
        Or its name in ``refcnn train``.
    loss : callable
        Called as ``loss(output, target)``, returns a single Variable. The softmax's cross entropy, if it is not given,
        for which targets are class indices (N,) or (N, ...), or probabilities (N, K, ...); with other options it is
        ``functools.partial(rm.softmax_cross_entropy, label_smoothing=0.1)``, for example.
    schedule : Schedule, optional
        How the learning rate goes, one of :mod:`refcnn.schedules`; it is the same throughout if this is not given.
    callbacks : Callback or sequence of Callback
        What is called along the way, such as ``rm.callbacks.EarlyStopping()``.
    freeze : str or sequence of str
        The parameters that stay as they are: their names, or those of layers for all that is inside them, such as
        ``("0", "features.*")``, in which ``*`` stands for anything.
    augment : str or sequence of Augmentation, optional
        How training images are varied, anew in each epoch: those of :mod:`refcnn.data.augment`, or a text that names
        them, such as ``"shift=2,flip"``. In arrays black is 0; a data set knows its own. For mixup targets are class
        indices, of arrays from 0 to the largest, or rows of probabilities.
    top_k : int
        The k of the accuracy among the k most probable classes.
    verbose : bool
        Whether to print a line for each epoch, and a bar on terminals.

    Returns
    -------
    list of dict
        A row of metrics for each epoch: ``epoch``, ``train_loss``, ``seconds``, ``iterations_per_second`` and
        ``learning_rate`` (that of its first batch); with validation data ``validation_loss``; where the targets are
        classes also ``validation_accuracy``, ``_precision``, ``_recall``, ``_f1`` (means over the classes), where there
        are more than k ``_top_k_accuracy``, and of each class ``class_examples``, ``class_predicted``,
        ``class_right``.

    Raises
    ------
    ArgumentError
        If an argument is out of range, or the schedule needs more epochs.
    DataError, ShapeError
        If the data are empty, or do not fit each other.
    NonFiniteLossError
        If the loss is NaN or infinite.

    Examples
    --------
    >>> import refcnn as rm
    >>> digits = rm.data.digits()
    >>> model = rm.Sequential([rm.Flatten(), rm.Dense(10)])
    >>> history = rm.fit(model, (digits.x, digits.y), epochs=2, batch_size=64, verbose=False)
    >>> history[1]["train_loss"] < history[0]["train_loss"]
    True
    """
    check_model("fit", model)
    attributes.integer("fit", "epochs", epochs)
    attributes.integer("fit", "top_k", top_k)
    train = source(data, batch_size, "fit", augment)
    judged = None if validation is None else source(validation, batch_size, "fit: validation")
    if isinstance(optimizer, str):
        make, rate = optimizers.choice("fit: optimizer", optimizer)
        optimizer = make(rate)
    check_training("fit", optimizer, loss)
    if schedule is not None:
        check_schedule("fit", schedule)
    callbacks = [
        attributes.instance("fit", "a callback", one, Callback, "Callbacks, such as refcnn.callbacks.EarlyStopping()")
        for one in attributes.entries(callbacks)
    ]
    bar = ProgressBar()
    shown = [bar, EpochLines()] if verbose else []
    loop = Loop(
        model,
        optimizer,
        train,
        judged,
        epochs=epochs,
        loss=loss,
        schedule=schedule,
        callbacks=[_KeepAverages(), *callbacks, *shown],
        freeze=freeze,
        top_k=top_k,
    )
    with contextlib.ExitStack() as stack:
        for callback in loop.callbacks:
            stack.callback(callback.close)
        loop.run()
    return loop.history


def evaluate(
    model: Model, data: Any, *, batch_size: int = 64, loss: Loss = metrics.cross_entropy, top_k: int = metrics.TOP_K
) -> metrics.Evaluation:
    """Judge a model on data that have targets.

    Parameters
    ----------
    model : Model
    data : pair of arrays, DataSet, or iterable of pairs
        As :func:`fit` takes them.
    batch_size, loss, top_k
        As of :func:`fit`.

    Returns
    -------
    Evaluation
        With ``loss``, ``accuracy``, ``top_k_accuracy``, and ``classes`` for the precision, recall and F1 of each.

    Raises
    ------
    ArgumentError, DataError, ShapeError
        As :func:`fit`.
    NonFiniteLossError
        If the loss is NaN or infinite.
    """
    check_model("evaluate", model)
    attributes.integer("evaluate", "top_k", top_k)
    check_loss("evaluate", loss)
    return metrics.evaluate(model, source(data, batch_size, "evaluate"), loss, top_k, stop_if_asked)


def predict(model: Model, data: Any, *, batch_size: int = 64) -> np.ndarray:
    """Return what a model makes of data: of a classifier the logits, of which ``argmax(axis=1)`` are the classes.

    Parameters
    ----------
    model : Model
        With one result.
    data : array, DataSet, or iterable of arrays
        Inputs, or an iterable of batches of inputs; or what :func:`fit` takes, whose targets are not looked at.
    batch_size : int
        For what comes not in batches already.

    Returns
    -------
    ndarray, (N, ...)

    Raises
    ------
    ArgumentError, DataError, ShapeError
        As :func:`fit`.
    """
    check_model("predict", model)
    found = []
    for batch in inputs_source(data, batch_size, "predict").epoch():
        stop_if_asked()
        found.append(model(*batch.inputs).as_ndarray())
    return np.concatenate(found)


class _KeepAverages(Callback):
    """Gives the model at the end the weights by which it was judged."""

    def on_train_end(self, loop):
        if loop.is_averaging:
            with loop.judged():
                state = loop.model.state()
            loop.model.set_state(state)


def check_training(what: str, optimizer: object, loss: object) -> None:
    """Raise ArgumentError if these are no Optimizer and no function."""
    attributes.instance(
        what, "optimizer", optimizer, Optimizer, "an Optimizer, such as refcnn.Adam(), or the name of one"
    )
    check_loss(what, loss)


def check_loss(what: str, loss: object) -> None:
    """Raise ArgumentError if this is no function."""
    attributes.function(what, "loss", loss, "a function of an output and a target, such as refcnn.mean_squared_error")


def check_model(what: str, model: object) -> None:
    """Raise ArgumentError if this is no Model."""
    if not isinstance(model, Model):
        raise ArgumentError(
            f"{what}: the model is {type(model).__name__}. Give a Model; put single layers into Sequential([...])."
        )
