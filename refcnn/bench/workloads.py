"""What is measured: training steps and inference of networks, and single convolution layers of known networks."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from .. import models, rooms
from ..backend import use_backend
from ..layers.conv2d import Conv2d
from ..mode import training
from ..model import Sequential
from ..opencl.convolution.sizes import Convolution
from ..stored import Stored
from ..tape import tape
from ..variable import Variable
from . import batches
from .arithmetic import Passes, Shape, shapes_of

MODES = ("training", "inference")
CHAPTER_IMAGE = (1, 28, 28)
CHAPTER_BATCH = 64
# Which of refcnn's random numbers an operation draws; everyone has their own.
_OF_RANDOM_NUMBERS = {"seed", "stream", "first"}
#: Deep networks whose training is measured: name, side of the images, batch size.
DEEP = (("resnet18", 32, 64), ("mobilenet_v2", 32, 64), ("unet", 64, 16))


@dataclasses.dataclass(frozen=True)
class Workload:
    """One thing that every contestant does the same number of times.

    Attributes
    ----------
    name : str
        What is computed, such as ``chapter, batch 64``.
    mode : str
        ``training`` or ``inference``; of a convolution, forward and backward, or forward alone.
    description : dict
        What contestants are told; JSON can hold it.
    passes : sequence of Passes
        Those of its operations; empty where they are not known.
    """

    name: str
    mode: str
    description: dict
    passes: tuple = ()

    @property
    def label(self):
        """The name with the mode."""
        return f"{self.name}, {self.mode}"

    @property
    def flop(self):
        """Multiplications and additions of the formulas, whatever algorithm a contestant uses."""
        return sum(one.formula_flop for one in self.passes)

    def flop_on(self, device):
        """Return those that a device of refcnn's really does, by the algorithms that it takes."""
        return sum(one.algorithm_flop(device) for one in self.passes)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One convolution of the grid: a network's layer at a batch size."""

    name: str
    geometry: Convolution


def convolution(name, batch, channels, size, outputs, window, stride=1, groups=1):
    """Return a layer for square images whose padding is half the window."""
    pad = window // 2
    return Layer(
        f"{name}, batch {batch}",
        Convolution(
            (batch, channels, size, size),
            (outputs, channels // groups, window, window),
            (stride, stride),
            (pad, pad, pad, pad),
            (1, 1),
            groups,
        ),
    )


#: Sources: Simonyan and Zisserman (2014), table 1; He et al. (2015), table 1; Howard et al. (2017), table 1;
#: Szegedy et al. (2014), table 1; Liu et al. (2022), table 9.
GRID = (
    convolution("VGG-16 conv1_1 3x3", 1, 3, 224, 64, 3),
    convolution("VGG-16 conv1_2 3x3", 1, 64, 224, 64, 3),
    convolution("VGG-16 conv2_2 3x3", 1, 128, 112, 128, 3),
    convolution("VGG-16 conv3_2 3x3", 4, 256, 56, 256, 3),
    convolution("VGG-16 conv4_2 3x3", 1, 512, 28, 512, 3),
    convolution("VGG-16 conv5_2 3x3", 16, 512, 14, 512, 3),
    convolution("ResNet-50 conv1 7x7 stride 2", 4, 3, 224, 64, 7, stride=2),
    convolution("ResNet-50 conv2 1x1", 16, 64, 56, 256, 1),
    convolution("ResNet-50 conv2 3x3", 16, 64, 56, 64, 3),
    convolution("ResNet-50 conv3 3x3 stride 2", 16, 128, 56, 128, 3, stride=2),
    convolution("ResNet-50 conv4 1x1", 64, 1024, 14, 256, 1),
    convolution("ResNet-50 conv5 1x1 stride 2", 16, 1024, 14, 2048, 1, stride=2),
    convolution("ResNet-50 conv5 3x3", 64, 512, 7, 512, 3),
    convolution("ResNet-50 conv5 1x1", 256, 512, 7, 2048, 1),
    convolution("MobileNet depthwise 3x3 stride 2", 32, 64, 112, 64, 3, stride=2, groups=64),
    convolution("MobileNet depthwise 3x3", 32, 128, 56, 128, 3, groups=128),
    convolution("MobileNet depthwise 3x3", 256, 512, 14, 512, 3, groups=512),
    convolution("MobileNet 1x1", 32, 128, 56, 128, 1),
    convolution("MobileNet 1x1", 1, 512, 14, 512, 1),
    convolution("Inception 5x5", 32, 32, 28, 96, 5),
    convolution("Inception 5x5", 256, 16, 14, 48, 5),
    convolution("ConvNeXt depthwise 7x7", 16, 96, 56, 96, 7, groups=96),
    convolution("chapter conv1 3x3", 64, 1, 28, 32, 3),
    convolution("chapter conv2 3x3", 64, 32, 28, 64, 3),
)

#: Small ones of each kind, for a quick run.
QUICK_GRID = tuple(GRID[index] for index in (0, 4, 6, 16, 18, 20))


class Book:
    """Makes workloads, with an ONNX file for each where onnxruntime shall take part.

    Parameters
    ----------
    folder : str or os.PathLike
        Where the ONNX files go.
    """

    def __init__(self, folder):
        self._folder, self._files = Path(folder), {}

    def network(self, model, mode, *, image_shape=CHAPTER_IMAGE, batch=CHAPTER_BATCH):
        """Return a workload of a model that :func:`make` knows."""
        with use_backend("reference"):
            built = make(model, image_shape)
            output = _recorded(built, image_shape)
            nodes = tape(output)
            file = self._onnx((model, *image_shape), built, image_shape)
        name = model if image_shape == CHAPTER_IMAGE else f"{model} {image_shape[1]}x{image_shape[2]}"
        description = {
            "kind": "network",
            "mode": mode,
            "model": model,
            "image_shape": image_shape,
            "batch": batch,
            "steps": _steps(nodes),
            "places": output.shape[2:],
            "onnx": file,
            "parameters": _parameters(built),
        }
        passes = tuple(_passes(node, batch, mode) for node in nodes)
        return Workload(f"{name}, batch {batch}", mode, description, passes)

    def layer(self, layer, mode):
        """Return the workload of a layer of the grid."""
        geometry = layer.geometry
        channels, _, *window = geometry.w_shape
        built = Sequential([Conv2d(channels, tuple(window), **attributes(geometry), input_size=geometry.x_shape[1])])
        description = {
            "kind": "convolution",
            "mode": mode,
            "operation": geometry.operation,
            **geometry._asdict(),
            "y_shape": geometry.y_shape,
            "onnx": self._onnx(geometry, built, geometry.x_shape[1:]),
            "parameters": _parameters(built),
        }
        inputs = Shape(geometry.x_shape), Shape(geometry.w_shape)
        needs = (True, True) if mode == "training" else ()
        passes = Passes(geometry.operation, inputs, attributes(geometry), needs)
        return Workload(layer.name, mode, description, (passes,))

    def file(self, file, batch, shapes):
        """Return the workload of an ONNX file.

        Parameters
        ----------
        file : refcnn.onnx.reading.batches.File
        batch : int
        shapes : dict of str to tuple of int
            As :meth:`refcnn.onnx.reading.batches.File.inputs` takes them.
        """
        inputs, content, path = file.inputs(batch, shapes), file.for_batch(batch), Path(file.path)
        if content is not None:
            path = self._folder / f"{batch}.onnx"
            path.write_bytes(content)
        description = {
            "kind": "file",
            "mode": "inference",
            "onnx": str(path),
            "batch": batch,
            "inputs": [dataclasses.asdict(entry) for entry in inputs],
            "parameters": file.elements,
        }
        return Workload(f"{Path(file.path).stem}, batch {batch}", "inference", description)

    def _onnx(self, key, model, image_shape):
        """Return the path of a model's ONNX file, which is written without a proof: only its speed matters here."""
        if key not in self._files:
            from .. import program
            from ..onnx.operators import DEFAULT_OPSET
            from ..onnx.writing import graph

            with use_backend("reference"):
                traced = program.trace(model, np.zeros((1, *image_shape), np.float32), softmax=False)
            shapes = {name: ("N", *variable.shape[1:]) for name, variable in traced.variables.items()}
            proto, _ = graph.build(
                traced, shapes, name="bench", opset=DEFAULT_OPSET, output_names=["y"], classes=None, preprocessing=None
            )
            path = self._folder / f"{len(self._files)}.onnx"
            path.write_bytes(proto.SerializeToString())
            self._files[key] = str(path)
        return self._files[key]


def make(name, image_shape):
    """Return a network with its parameters made: one that :func:`refcnn.models.build` knows, or that labels pixels."""
    if name not in models.OF_PIXELS:
        return models.build(name, image_shape, batches.CLASSES)
    model = models.OF_PIXELS[name](tuple(image_shape), batches.CLASSES)
    model(np.zeros((1, *image_shape), np.float32))
    return model


def record(model, image_shape):
    """Return the tape's nodes of one image in training, in order."""
    return tape(_recorded(model, image_shape))


def _recorded(model, image_shape):
    with training():
        return model(Variable(np.zeros((1, *image_shape), np.float32)))


def attributes(geometry):
    """Return the attributes of the operation whose geometry it is."""
    return {name: getattr(geometry, name) for name in ("stride", "padding", "dilation", "groups")}


def layer_flop(geometry):
    """Return the multiplications and additions of the forward pass of a layer of the grid."""
    find = rooms.trait(rooms.LAYERS, geometry.operation, "flop")
    return find(geometry.x_shape, geometry.w_shape, **attributes(geometry))


def _passes(node, batch, mode):
    """Return the passes of a recorded operation at another batch size."""
    inputs = tuple(None if entry is None else Shape(_of_batch(entry, batch)) for entry in node.inputs)
    needs = tuple(entry is not None and entry.requires_grad for entry in node.inputs) if mode == "training" else ()
    return Passes(node.operation, inputs, node.attributes, needs)


def _of_batch(entry, batch):
    return entry.shape if _is_stored(entry) else (batch, *entry.shape[1:])


def geometry_of(node, batch=1):
    """Return by what the variants of a recorded operation are chosen at another batch size, or None."""
    x, *others = shapes_of(node.inputs)
    find = rooms.trait(rooms.OPENCL, node.operation, "tuned_geometry")
    return find(((batch, *x[1:]), *others), node.attributes)


def _steps(nodes):
    """Return recorded operations for those who have no tape, each as (operation, inputs, shapes, attributes).

    The inputs are numbers of earlier steps, -1 for the images; the shapes are those of the parameters and buffers.
    """
    steps, numbers = [], {}
    for node in nodes:
        inputs = [numbers.get(id(entry), -1) for entry in node.inputs if not _is_stored(entry)]
        shapes = shapes_of(entry for entry in node.inputs if _is_stored(entry))
        attributes = {key: value for key, value in node.attributes.items() if key not in _OF_RANDOM_NUMBERS}
        numbers |= {id(result): len(steps) for result in node.results() if result is not None}
        steps.append((node.operation, inputs, shapes, attributes))
    return steps


def _is_stored(entry):
    """Return whether an input of an operation is a parameter or a buffer, or one that is left out."""
    return entry is None or isinstance(entry, Stored)


def _parameters(model):
    return sum(math.prod(parameter.shape) for _, parameter in model.parameters())
