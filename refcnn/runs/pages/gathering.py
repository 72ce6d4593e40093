"""The data of a run's page: all that is known of the run, as ``report.schema.json`` has it."""

import contextlib
import datetime
import json
from typing import NamedTuple

import numpy as np

from ...data import DataSet
from ...display import command
from ...errors import ArgumentError, DataError
from ...fitting import predict
from ...fitting.metrics import best_row
from ...model import Model
from ...pages.texts import short
from ...version import versions
from .. import drawing, options, proofs
from ..judgement import Judgement
from ..run_data import validation_set
from ..run_folder import class_rows
from . import again, film, model_table, pictures

SCHEMA = 1
#: So many epochs have a row at most, and so many classes; of so many classes at most there is a matrix.
MOST_EPOCHS, MOST_CLASSES, MOST_MATRIX = 1000, 1000, 100
#: So many pairs of classes are named that are taken for each other.
MOST_PAIRS = 20
#: So many characters a value of the configuration has at most, and the command.
_MOST_CHARACTERS = 2000
#: What a row of metrics tells of the whole.
_METRICS = (
    *("epoch", "train_loss", "validation_loss", "validation_accuracy", "validation_top_k_accuracy"),
    *("validation_precision", "validation_recall", "validation_f1", "learning_rate", "seconds"),
)


class Found(NamedTuple):
    """What was computed of a run for its page.

    Attributes
    ----------
    model : Model or None
        The best one.
    validation : DataSet or None
    judgement : Judgement or None
    seen : refcnn.runs.drawing.Seen or None
        What the convolutions make of the first validation image, or of none; None where there are no convolutions.
    left_out : list of str
        What is not known, and why.
    """

    model: Model | None
    validation: DataSet | None
    judgement: Judgement | None
    seen: drawing.Seen | None
    left_out: list


def find(run):
    """Compute on the active backend what a page tells of a run, from its folder and its data.

    Returns
    -------
    Found
        What cannot be computed, since the data are gone or the model is code that was not named, is left out.

    Raises
    ------
    CheckpointError, DataError
        If the best checkpoint, or the exported model, cannot be read.
    """
    left_out, validation = [], None
    model = _model(run, left_out)
    try:
        validation = validation_set(run.configuration)
    except DataError as error:
        left_out.append(f"The confusion matrix and the images: {error}")
    if model is None:
        return Found(None, validation, None, None, left_out)
    judgement = None
    if validation is not None:
        judgement = Judgement(predict(model, validation), validation.y)
    return Found(model, validation, judgement, look(model, run, validation), left_out)


def look(model, run, validation):
    """Return what a model's convolutions make of the first validation image, or of none; None without convolutions."""
    with contextlib.suppress(ArgumentError):
        if validation is not None:
            return drawing.look_at_first(model, validation)
        return drawing.look(model, run.configuration.preprocessing)


def _model(run, left_out):
    if not run.has_own_model or run.named_model is not None:
        return run.best_model()
    if run.is_exported:
        from ... import onnx

        return onnx.load(run.model_file)
    left_out.append(
        "The model, what it makes of the images, and its kernels: it is code that is not imported because a file says "
        f"so. If you trust it, name it: --model {run.configuration.model}"
    )
    return None


def of_run(run, found):
    """Return the data of a run's page, and its pictures by their elements, two dicts.

    Parameters
    ----------
    run : RunFolder
    found : Found

    Raises
    ------
    CheckpointError
        If no epoch was finished yet, or a file of the run is broken.
    """
    configuration, history = run.configuration, run.history()
    best = best_row(history, configuration.monitor)
    left_out = list(found.left_out)
    data = {
        "schema": SCHEMA,
        "kind": "run",
        "written": written(),
        "run": run_fields(run, history),
        "best": metrics(best),
        **history_fields(history, best, left_out),
        "model": None,
        **_classes(run, found, best, left_out),
        **dict.fromkeys(("kernels", "kernel_epochs", "first_image", "confusion", "wrong_images")),
        **{name: [] for name in ("confused", "maps", "wrong", "unsure")},
        "proof": proofs.load(run),
    }
    shown = {}
    if found.model is not None:
        data["model"] = model_table.told(found.model, configuration.preprocessing.shape)
    if found.judgement is not None:
        shown |= _judged(data, found, left_out)
    if found.seen is not None:
        shown |= _sight(data, found, left_out)
    data["kernel_epochs"], of_epochs = film.kernel_epochs(run, left_out)
    shown |= of_epochs
    return data | {"left_out": left_out}, shown


def written():
    """Return by which version a page is written, and when."""
    return {"refcnn": versions()["refcnn"], "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def metrics(row):
    """Return what a row of metrics tells of the whole; null where it does not."""
    return {name: row.get(name) for name in _METRICS}


def run_fields(run, history):
    """Return what is told of a run itself, without what it learned."""
    configuration = run.configuration
    fields = configuration.to_json()
    classes = fields.pop("classes")
    again_by = command(*again.arguments(configuration))
    # What the end of a run enters, which is told otherwise, and what the images are usually like.
    del fields["completed_epochs"], fields["ended_early"], fields["preprocessing"]["usual"]
    return {
        "name": short(run.path.resolve().name),
        "folder": short(run.path.resolve(), 200),
        "data": short(configuration.data, 200),
        "model": short(configuration.model, 200),
        "seed": configuration.seed,
        "device": {"backend": configuration.backend, "name": configuration.device, "versions": configuration.versions},
        "epochs": len(history),
        "wanted_epochs": configuration.epochs,
        "is_complete": len(history) >= configuration.epochs or options.ended_early(configuration, history),
        "monitor": configuration.monitor,
        "classes": len(classes),
        "command": again_by if len(again_by) <= _MOST_CHARACTERS else None,
        "configuration": {name: _bounded(value) for name, value in fields.items()},
    }


def _bounded(value):
    """Return a value of JSON, or where that is very long the beginning of its text."""
    text = json.dumps(value)
    return value if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"


def history_fields(history, best, left_out, most=MOST_EPOCHS):
    """Return the rows of metrics that are shown; what is not is added to ``left_out``."""
    step = -(-len(history) // most)
    rows = [metrics(row) for index, row in enumerate(history) if index % step == 0 or row is best or row is history[-1]]
    if step > 1:
        left_out.append(f"Of {len(history):,} epochs all but each {step}th, the best and the last.")
    return {"history": rows}


def _classes(run, found, best, left_out):
    """Return what is told of each class, from the images, or else from the metrics of the best epoch."""
    names, configuration = shown_classes(run.configuration.classes), run.configuration
    if found.judgement is not None:
        of_classes = {f"class_{name}": array for name, array in vars(found.judgement.of_classes).items()}
    elif "class_right" in best:
        of_classes = best
    else:
        return {"classes": []}
    rows = [
        {"index": index, "name": names[index], **{key: row[key] for key in ("images", "precision", "recall", "f1")}}
        for index, row in enumerate(class_rows(of_classes, configuration.classes))
    ]
    if len(rows) > MOST_CLASSES:
        left_out.append(f"All but the {MOST_CLASSES:,} of {len(rows):,} classes with the lowest F1 score.")
        rows = sorted(rows, key=lambda row: row["f1"])[:MOST_CLASSES]
    return {"classes": rows}


def shown_classes(names):
    """Return the names of classes as they are shown, those that would look alike with their numbers."""
    shown = [short(name) for name in names]
    if len(set(shown)) < len(shown):
        return [f"{index}: {name}" for index, name in enumerate(shown)]
    return shown


def _judged(data, found, left_out):
    """Enter what was taken for what, and the images that were hard; return their pictures."""
    judgement, validation = found.judgement, found.validation
    names = shown_classes(validation.classes)
    data["confused"] = _pairs(judgement.counts, names)
    if len(names) <= MOST_MATRIX:
        data["confusion"] = {
            "names": names,
            "counts": judgement.counts.tolist(),
            "order": most_confused(judgement.counts),
        }
    else:
        left_out.append(f"The confusion matrix of {len(names):,} classes: it has up to {MOST_MATRIX}.")
    wrong, unsure = judgement.most_wrong(pictures.MOST_WRONG), judgement.most_unsure(pictures.MOST_UNSURE)
    data["wrong_images"] = int(np.count_nonzero(judgement.predicted != judgement.labels))
    if data["wrong_images"] > len(wrong):
        left_out.append(f"Of {data['wrong_images']:,} images that it was wrong about all but {len(wrong)}.")
    data["wrong"], of_wrong = pictures.judged_images(judgement, validation, wrong, names, "wrong")
    data["unsure"], of_unsure = pictures.judged_images(judgement, validation, unsure, names, "unsure")
    return of_wrong | of_unsure


def _pairs(counts, names):
    """Return the pairs of a true and a predicted class that are most frequent."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    totals = np.maximum(counts.sum(axis=1), 1)
    places = [tuple(map(int, np.unravel_index(place, wrong.shape))) for place in order]
    return [
        {
            "true": names[row],
            "predicted": names[column],
            "images": int(wrong[row, column]),
            "share": float(wrong[row, column] / totals[row]),
        }
        for row, column in places
        if wrong[row, column]
    ]


def most_confused(counts):
    """Return the classes, those first of whose images and predictions together the largest share is wrong."""
    total = counts.sum(axis=1) + counts.sum(axis=0)
    wrong = total - 2 * np.diag(counts)
    return np.argsort(-wrong / np.maximum(total, 1), kind="stable").tolist()


def _sight(data, found, left_out):
    """Enter the kernels and, where there is an image, the feature maps; return their pictures."""
    data["kernels"], shown = pictures.kernels(found.seen)
    told = data["kernels"]
    if told["count"] > pictures.MOST_KERNELS or told["channels"] > pictures.MOST_CHANNELS:
        rows = len(told["rows"])
        left_out.append(
            f"Of {told['count']:,} kernels with {told['channels']:,} channels each all but {told['rows'][0]['count']} "
            f"with {rows}."
        )
    if found.validation is None:
        return shown
    if found.judgement is not None:
        names = shown_classes(found.validation.classes)
        label, predicted = (int(of_images[0]) for of_images in (found.judgement.labels, found.judgement.predicted))
        data["first_image"] = {"true": names[label], "predicted": names[predicted]}
    data["maps"], of_maps = pictures.feature_maps(found.seen)
    if len(data["maps"]) < data["maps"][0]["of"]:
        left_out.append(f"The maps of all but {len(data['maps'])} of {data['maps'][0]['of']} convolutions.")
    cut = [one for one in data["maps"] if one["shown"] < one["maps"]]
    left_out += [
        f"Of the {one['maps']} maps of convolution {one['convolution']} all but {one['shown']}." for one in cut
    ]
    shown["first"] = pictures.shown_image(found.validation.x[0], found.validation.preprocessing)
    return shown | of_maps
