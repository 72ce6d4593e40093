"""What a finished run leaves for people: the exported model and the pictures."""

import contextlib
import math
import os
from pathlib import Path

import numpy as np

from .. import display
from ..fitting import predict
from ..fitting.metrics import best_row
from . import drawing, metric_plots, options, plotting, proofs
from .judgement import Judgement
from .pages import gathering, writing

#: How many validation images have a part in the certificate, least and most, and how many values these have between.
_CERTIFIED, _CERTIFIED_PIXELS = (16, 1000), 800_000


def write(run, validation, **keywords):
    """Write the pictures and the exported model of a run, both of its best checkpoint, and note that it is complete.

    Parameters
    ----------
    run : RunFolder
    validation : DataSet
    **keywords
        Handed to :func:`refcnn.onnx.export`.

    Returns
    -------
    refcnn.onnx.Proof

    Raises
    ------
    ExportError
        If the exported model fails its proof; the pictures are written by then.
    FileWriteError
        If a file cannot be written.
    LockedError
        If another process is writing in the run folder.
    """
    with run.locked():
        return _write(run, validation, keywords)


def _write(run, validation, keywords):
    model = run.best_model()
    history = run.history()
    of = drawing.run_name(run, best_row(history, run.configuration.monitor)["epoch"])
    plotting.save(drawing.curves(run, history), run.path / "curves.png")
    judgement = Judgement(predict(model, validation), validation.y)
    _draw_judgement(run, validation, judgement, of)
    seen = gathering.look(model, run, validation)
    if seen is not None:
        _draw_sight(run, seen, of)
    wanted = {name: getattr(run.configuration, name) for name in ("proof", "proof_time")}
    proof = export(run, run.model_file, certify=_certified(validation), **wanted | keywords)
    proofs.save(run, proof)
    writing.write_run(run, run.path / "report.html", gathering.Found(model, validation, judgement, seen, []))
    run.update(completed_epochs=len(history), ended_early=options.ended_early(run.configuration, history))
    return proof


def _certified(validation):
    """Return the validation images of which a certificate is made, evenly out of all."""
    count = int(np.clip(_CERTIFIED_PIXELS // math.prod(validation.preprocessing.shape), *_CERTIFIED))
    places = np.unique(np.linspace(0, len(validation) - 1, min(count, len(validation))).astype(int))
    return validation.preprocessing.apply(validation.x[places])


def _draw_sight(run, seen, of):
    """Draw what a model's convolutions make of an image."""
    plotting.save(drawing.kernels(seen, of=of), run.path / "kernels.png")
    for index, figure in enumerate(drawing.features(seen, of=of), 1):
        plotting.save(figure, run.path / f"features_{index}.png")


def _draw_judgement(run, validation, judgement, of):
    """Draw what a model makes of the validation images."""
    names = validation.classes
    plotting.save(plotting.confusion(judgement.counts, names, of=of), run.path / "confusion.png")
    plotting.save(metric_plots.classes(judgement.of_classes, names, of=of), run.path / "classes.png")
    worst = judgement.most_wrong(metric_plots.MOST_IMAGES)
    true = validation.y[worst]
    probabilities = judgement.probabilities(worst)[np.arange(len(worst)), true]
    images = validation.preprocessing.apply(validation.x[worst])
    figure = metric_plots.most_wrong(images, true, judgement.predicted[worst], probabilities, names, of=of)
    plotting.save(figure, run.path / "most_wrong.png")


def export(run, path, **keywords):
    """Export the best model of a run; the keywords are those of :func:`refcnn.onnx.export`, which see for the errors.

    If the path leads into the run folder, LockedError is raised where another process is writing there.
    """
    from .. import onnx

    configuration = run.configuration
    preprocessing = configuration.preprocessing
    with locked_for(run, path):
        return onnx.export(
            run.best_model(),
            path,
            preprocessing.shape,
            classes=configuration.classes,
            preprocessing=preprocessing,
            **keywords,
        )


def locked_for(run, path):
    """Return a context in which no other process writes in the run folder, if there is one and the path leads there."""
    if run is None or os.path.realpath(Path(path).parent) != os.path.realpath(run.path):
        return contextlib.nullcontext()
    return run.locked("name a file elsewhere with --out")


def completion(run):
    """Return what is said of a run that is complete already."""
    if run.configuration.ended_early:
        return (
            f"The run ended before, after {run.configuration.patience} epochs without a better one; --patience N with "
            "a larger N trains on."
        )
    return "The run was complete already; --epochs N with a larger N trains on."


def summary(run):
    """Return the lines that say how good the run's best model is, where everything lies and what to type next."""
    configuration, history = run.configuration, run.history()
    best = best_row(history, configuration.monitor)
    explanations = {
        "model.onnx": "the exported model",
        "metrics.csv": "losses, accuracy and speed of each epoch",
        "classes.csv": "precision, recall and F1 score of each class",
        "curves.png": "losses and shares of metrics.csv as curves",
        "kernels.png": "the first layer's kernels",
        "kernels": "those of each epoch",
        "features_*.png": "an image after each convolution",
        "confusion.png": "which classes were taken for which",
        "classes.png": "precision, recall and F1 score as bars",
        "most_wrong.png": "the images that it was most wrong about",
        "best.npz": f"checkpoint with the best {configuration.monitor.replace('_', ' ')}",
        "last.npz": "checkpoint to resume from",
        "start.onnx": "the model that it started from",
        "report.html": "all of this as one page for a browser",
        "proof.json": "what the proof of the exported model found",
        "config.json": "the configuration",
        "tensorboard": "event files, for tensorboard --logdir",
    }
    part = "the test part" if configuration.validation_split is None else f"{configuration.validation_split:.0%}"
    lines = [
        f"Validation accuracy {best['validation_accuracy']:.2%}, loss {best['validation_loss']:.4f} (best of "
        f"{len(history)} epochs: {best['epoch']}), on {part} of {configuration.data}.",
        f"In {run.path}:",
    ]
    if configuration.overfit_batch:
        lines.insert(1, _verdict(history))
    lines += [f"  {name:<15} {text}" for name, text in explanations.items() if any(run.path.glob(name))]
    return [
        *lines,
        "Next:",
        f"  {display.command('predict', run.model_file, 'IMAGE...')}",
        f"  {run.command('show', 'features', run.path, '--image', 'IMAGE')}",
        f"  {run.command('export', run.path, '--out', 'FILE.onnx')}",
        f"  {run.command('train', '--resume', run.path, '--epochs', 2 * len(history))}",
    ]


def _verdict(history):
    """Return what is said of a training on a single batch."""
    first, last = history[0]["train_loss"], history[-1]["train_loss"]
    lines = f"The loss of the single batch went from {first:.4g} to {last:.4g}"
    if best_row(history)["validation_accuracy"] == 1:
        return f"{lines}, and every image of it is recognised: model, loss and data fit together."
    return (
        f"{lines}, and not every image of it is recognised. Where more epochs and another --lr do not help, look for "
        "labels that do not fit the images, or a model that cannot tell them apart."
    )
