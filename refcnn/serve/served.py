"""The network that is served: what it makes of an image, in the form of the answers that pages get."""

import functools
import time
from pathlib import Path

import numpy as np

from .. import backend as backends
from ..data.image_file import ImageBytes
from ..errors import DataError
from ..onnx.proof.beside import FileBeside, usual_devices
from ..runs.prediction import Predictor, ReadImage
from .centring import FORMS, centred
from .gradients import LossGradients
from .layers import Layers
from .quantising import finite, on_one_scale, quantised
from .refusing import Refusal
from .saliency import Gradients, occlusion

#: Classes that an answer names at most.
MOST_CLASSES = 10
#: Multiplications and additions of a network that the reference computes while somebody waits.
MOST_FLOP = 5e8


class Served:
    """A trained model that answers what it sees in images.

    Parameters
    ----------
    path : str
        A run's folder or an ONNX file.
    **options
        As of :class:`refcnn.runs.prediction.Predictor`.

    Raises
    ------
    RefcnnError
        If there is none, or it cannot compute an image of zeros.
    """

    def __init__(self, path, **options):
        self._predictor = Predictor(path, **options)
        self.name = Path(path).absolute().name
        chosen = options.get("backend")
        self._backend = backends.active() if chosen is None else backends.find(chosen)
        # What the first image would wait for is done before there is one.
        self._predictor.probabilities([self._black])

    @functools.cached_property
    def _black(self):
        preprocessing = self._predictor.preprocessing
        black = np.full((preprocessing.channels, preprocessing.height, preprocessing.width), preprocessing.black)
        return ReadImage(self.name, black, preprocessing.apply(black), (), None)

    @functools.cached_property
    def _program(self):
        return self._predictor.traced(self._black)

    @functools.cached_property
    def _layers(self):
        return Layers(self._program, self._backend)

    @functools.cached_property
    def _gradients(self):
        return Gradients(self._program, self._backend, self._program.outputs[self._predictor.output_number])

    @functools.cached_property
    def _loss_gradients(self):
        output, kind = self._program.outputs[self._predictor.output_number], self._predictor.kind
        channels = 3 if self._axes == (1, 2) else 1
        return LossGradients(self._program, self._backend, output, kind, channels, self._layers.constants)

    def description(self):
        """Return what a page needs to know before there is an image."""
        preprocessing = self._predictor.preprocessing
        return {
            "name": self.name,
            "classes": list(self._predictor.classes),
            "channels": preprocessing.channels,
            "height": preprocessing.height,
            "width": preprocessing.width,
            "fit": preprocessing.fit,
            "background": "black" if _is_dark(preprocessing) else "white",
            "form": self._predictor.data if self._predictor.data in FORMS else next(iter(FORMS)),
            "has_form": self._predictor.data in FORMS,
        }

    def formed(self, content, form):
        """Return an image file, which all that takes one takes, with a drawing as digits of a data set are.

        Parameters
        ----------
        content : bytes
        form : str
            One of :data:`~refcnn.serve.centring.FORMS`.

        Raises
        ------
        Refusal
            If it cannot be read.
        """
        try:
            return centred(content, FORMS[form], self._predictor.preprocessing)
        except DataError as error:
            raise Refusal(str(error)) from None

    def prediction(self, content):
        """Return what an image shows.

        Parameters
        ----------
        content : bytes
            Of an image file.

        Raises
        ------
        Refusal
            If it cannot be read.
        RefcnnError
            If it cannot be computed.
        """
        begin = time.perf_counter()
        image = self._read(content)
        (row,) = self._predictor.probabilities([image])
        ranked = self._predictor.ranked(row, MOST_CLASSES)
        return {
            "classes": [{"name": name, "probability": probability} for name, probability in ranked],
            "remarks": list(image.remarks),
            "given": self._given(image),
            "seconds": time.perf_counter() - begin,
        }

    def layers(self, content, wanted=None):
        """Return what all layers make of an image; the rest as of :meth:`Layers.maps`."""
        return self._layers.maps(self._predictor.input_of(self._read(content)), wanted)

    def walk(self, content, number, index):
        """Return where a number of a layer comes from; the rest as of :meth:`Layers.walk`."""
        return self._layers.walk(self._predictor.input_of(self._read(content)), number, index)

    def gradients(self, content, number=None, wanted=None):
        """Return what all layers did to the loss against a class, as a generator does at its end.

        Parameters
        ----------
        content : bytes
        number : int, optional
            Of the class; the most probable if none is given.
        wanted
            As of :meth:`LossGradients.maps`.

        Raises
        ------
        Refusal
            If the image cannot be read, or there is no such class.
        """
        x = self._predictor.input_of(self._read(content))
        found = yield from self._loss_gradients.maps(x, self._class(x, number)[0], wanted)
        return self._with_class(found)

    def gradient_walk(self, content, number, layer, index):
        """Return where the gradient of a number comes from; the rest as of :meth:`LossGradients.walk`."""
        x = self._predictor.input_of(self._read(content))
        found = yield from self._loss_gradients.walk(x, self._class(x, number)[0], layer, index)
        return self._with_class(found)

    def _with_class(self, found):
        found["loss"]["class"] = self._predictor.classes[found["loss"]["class"]]
        return found

    def _class(self, x, number):
        """Return the number of a class, the most probable if none is given, and its score."""
        (scores,) = self._predictor.scores(x)
        number = int(scores.argmax()) if number is None else number
        if number >= len(scores):
            raise Refusal("There is no such class.")
        return number, scores[number]

    def saliency(self, content, method, number=None, layer=None):
        """Return on which pixels the score of a class depends, as a generator does at its end.

        Parameters
        ----------
        content : bytes
        method : str
            One of :data:`METHODS`.
        number : int, optional
            Of the class; the most probable if none is given.
        layer : int, optional
            For Grad-CAM; the last convolution if none is given.

        Raises
        ------
        Refusal
            If the image cannot be read, or there is no such class or layer.
        """
        begin, x = time.perf_counter(), self._predictor.input_of(self._read(content))
        number, score = self._class(x, number)
        found = yield from METHODS[method](self, x, number, layer)
        convolutions = self._gradients.convolutions() if method == GRAD_CAM else []
        names = [self._program.steps[one].results[0] for one in convolutions]
        return {
            "method": method,
            "class": self._predictor.classes[number],
            "score": finite(score),
            "map": on_one_scale(found[None]),
            "layers": [{"layer": one, "name": name} for one, name in zip(convolutions, names, strict=True)],
            "seconds": time.perf_counter() - begin,
        }

    def _occlusion(self, x, number, layer):
        return (yield from occlusion(self._predictor.scores, x, number, self._axes))

    def _gradient_times_input(self, x, number, layer):
        yield
        found = self._gradients.times_input(x, number)[0]
        return found.sum(axis=2 if self._axes == (1, 2) else 0)

    def _class_activation(self, x, number, layer):
        yield
        return self._gradients.class_activation(x, number, layer)

    @property
    def _axes(self):
        """Those of height and width in a batch of inputs."""
        return (1, 2) if self._predictor.preprocessing.layout == "NHWC" else (2, 3)

    @functools.cached_property
    def _beside(self):
        if self._predictor.onnx_file is None:
            raise Refusal(
                "The run has no exported model, which onnxruntime could run: 'refcnn train --resume' ends it."
            )
        return FileBeside(self._predictor.onnx_file)

    def executors(self, content):
        """Return what executors beside each other make of an image, and how far they are from the exact answer.

        Raises
        ------
        Refusal
            If the image cannot be read, there is no exported model, or it is too large.
        """
        rows = self._beside.run(self.compared(content), usual_devices(self._backend))
        return {"executors": list(map(self._row, rows))}

    def compared(self, content):
        """Return the network's input of an image that executors compute beside each other; the rest as of these."""
        x = self._predictor.input_of(self._read(content))
        if (flop := self._beside.flop(x)) > MOST_FLOP:
            raise Refusal(
                f"The network's {flop:.2g} multiplications and additions take the reference too long to wait for: "
                "'refcnn verify' compares the executors of such a network."
            )
        return x

    def elsewhere(self):
        """Return the exported model's :class:`~refcnn.onnx.proof.elsewhere.Elsewhere`; the rest as of the executors."""
        return self._beside.elsewhere(self._predictor.input_of(self._black))

    def judged(self, content, elsewhere, computed, seconds):
        """Return what another executor made of an image elsewhere, as :meth:`executors` does of those here."""
        row = self._beside.judged(elsewhere, self.compared(content), computed, seconds)
        return {"executors": [self._row(row)]}

    def _row(self, row):
        found = {name: getattr(row, name) for name in ("name", "node", "parts")}
        found |= {name: finite(getattr(row, name)) for name in ("seconds", "difference", "ratio")}
        is_scores = row.output is not None and row.output.size == len(self._predictor.classes)
        found["class"] = self._predictor.classes[int(row.output.argmax())] if is_scores else None
        # What a driver says may name files.
        found["is_usable"] = not row.unusable
        return found

    def _read(self, content):
        image = self._predictor.read(ImageBytes("The image", content))
        if image.error is not None:
            raise Refusal(image.error)
        return image

    def _given(self, image):
        """Return what the network was given: the pixels between black and white, and the range of its numbers."""
        preprocessing = self._predictor.preprocessing
        stored = image.stored[::-1] if preprocessing.colour == "BGR" else image.stored
        return {
            **quantised(stored, preprocessing.black, preprocessing.white),
            "lowest": float(image.x.min()),
            "highest": float(image.x.max()),
        }


def _is_dark(preprocessing):
    """Whether training images are dark as a rule, as digits in white on black; not where that is not known."""
    if not preprocessing.usual or preprocessing.white is None:
        return False
    usual = np.mean([channel.brightness.mean for channel in preprocessing.usual])
    black, white = preprocessing.black * preprocessing.scale, preprocessing.white * preprocessing.scale
    return bool(abs(usual - black) < abs(usual - white))


OCCLUSION, GRADIENT, GRAD_CAM = "occlusion", "gradient-times-input", "grad-cam"
#: How it is told on which pixels a score depends.
METHODS = {OCCLUSION: Served._occlusion, GRADIENT: Served._gradient_times_input, GRAD_CAM: Served._class_activation}
