"""ncnn on processors: ``refcnn conform --device ncnn``, ``ncnn:plain`` or ``ncnn:released``.

A model of one layer computes each operation, for images one after the other, since ncnn's have no batches. ``ncnn``
computes in float32 in full, without Winograd's algorithm, in ncnn's own layouts of memory; ``ncnn:plain`` with none of
its other ways to be fast either; ``ncnn:released`` as ncnn chooses itself, which may be another precision.
"""

import functools
import math
import tempfile
from importlib import metadata

import ncnn
import numpy as np

from ...shapes import sides
from ..subjects.base import NotExpressible

#: ncnn's options that are switched off, by the names that devices have.
_WAYS = {
    "released": (),
    "float32": (
        "fp16_packed",
        "fp16_storage",
        "fp16_arithmetic",
        "bf16_packed",
        "bf16_storage",
        "winograd_convolution",
    ),
}
_WAYS["plain"] = (*_WAYS["float32"], "packing_layout", "sgemm_convolution")

#: Of layers that compute each element by itself, the type, and its parameters' numbers by the names of attributes.
_ELEMENTWISE = {
    "absolute": ("AbsVal", {}),
    "celu": ("CELU", {"alpha": 0}),
    "clip": ("Clip", {"min": 0, "max": 1}),
    "elu": ("ELU", {"alpha": 0}),
    "erf": ("Erf", {}),
    "exp": ("Exp", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 0, "beta": 1}),
    "mish": ("Mish", {}),
    "relu": ("ReLU", {}),
    "selu": ("SELU", {"alpha": 0, "gamma": 1}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "tanh": ("TanH", {}),
}
_UNARY = {"negative": 1, "floor": 2, "ceil": 3, "sqrt": 5, "log": 8, "reciprocal": 15, "round": 18}
_BINARY = {"add": 0, "subtract": 1, "multiply": 2, "divide": 3, "maximum": 4, "minimum": 5, "power": 6}
_REDUCTIONS = ("sum", "", "sum_square", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp")
#: The numbers of parameters of what slides, for the axes from the last on.
_KERNEL, _DILATION, _STRIDE = (1, 11, 21), (2, 12, 22), (3, 13, 23)
_PADDING = (4, 15), (14, 16), (24, 17)
_POOL_STRIDE, _POOL_PADDING = (2, 12, 22), ((3, 14), (13, 15), (23, 16))


class Ncnn:
    """ncnn's layers.

    Parameters
    ----------
    way : str
        A key of ``_WAYS``.
    """

    # Threads may flush them, as ncnn's option flush_denormals says.
    denormals = False
    version = metadata.version("ncnn")

    def __init__(self, way):
        self.name, self._off = f"ncnn ({way})", _WAYS[way]

    def __getattr__(self, name):
        if name in _ELEMENTWISE:
            return functools.partial(self._elementwise, *_ELEMENTWISE[name])
        for numbers, function in ((_UNARY, self._unary), (_BINARY, self._binary)):
            if name in numbers:
                return functools.partial(function, numbers[name])
        if name.removeprefix("reduce_") in _REDUCTIONS and name.startswith("reduce_"):
            return functools.partial(self._reduction, _REDUCTIONS[name.removeprefix("reduce_")])
        raise AttributeError(name)

    def _layer(self, kind, parameters, *inputs, weights=(), results=1):
        """Return the results of a layer, each an array; of weights those that ncnn may round have a format before."""
        net = self._net(kind, parameters, len(inputs), results, weights)
        return self._computed(net, inputs, results)

    def _of_images(self, x, kind, parameters, weights=()):
        if not len(x):
            raise NotExpressible("there is no image")
        net = self._net(kind, parameters, 1, 1, weights)
        return np.stack([self._computed(net, (image,), 1)[0] for image in x])

    def _net(self, kind, parameters, inputs, results, weights):
        net = ncnn.Net()
        net.opt.num_threads = 1
        for name in self._off:
            setattr(net.opt, f"use_{name}", False)
        xs, ys = [f"x{number}" for number in range(inputs)], [f"y{number}" for number in range(results)]
        layers = [f"Input {x} 0 1 {x}" for x in xs]
        given = " ".join(f"{number}={_number(value)}" for number, value in parameters.items())
        layers.append(f"{kind} layer {inputs} {results} {' '.join((*xs, *ys))} {given}")
        text = "\n".join(("7767517", f"{len(layers)} {inputs + results}", *layers, ""))
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"".join(np.ascontiguousarray(weight).tobytes() for weight in weights))
            file.flush()
            if net.load_param_mem(text) or net.load_model(file.name):
                raise RuntimeError(f"ncnn does not load {kind} with {parameters}")
        return net

    @staticmethod
    def _computed(net, inputs, results):
        if any(not 1 <= x.ndim <= 4 or not x.size or x.dtype != np.float32 for x in inputs):
            raise NotExpressible("ncnn has float32 alone, of one to four axes")
        extractor = net.create_extractor()
        # Copies, in the layout that ncnn wants.
        mats = [ncnn.Mat(np.ascontiguousarray(x)).clone() for x in inputs]
        for number, mat in enumerate(mats):
            extractor.input(f"x{number}", mat)
        found = [extractor.extract(f"y{number}") for number in range(results)]
        if any(status for status, _ in found):
            raise RuntimeError(f"ncnn ended with the status {[status for status, _ in found]}")
        return [np.array(mat) for _, mat in found]

    def _elementwise(self, kind, names, x, **attributes):
        if any(value is None or not math.isfinite(value) for value in attributes.values()):
            raise NotExpressible("ncnn's files have finite parameters")
        return self._layer(kind, {names[name]: float(value) for name, value in attributes.items()}, x)[0]

    def _unary(self, number, x):
        return self._layer("UnaryOp", {0: number}, x)[0]

    def _binary(self, number, a, b):
        axes = max(a.ndim, b.ndim)
        a, b = (x.reshape((1,) * (axes - x.ndim) + x.shape) for x in (a, b))
        return self._layer("BinaryOp", {0: number}, a, b)[0]

    def _reduction(self, number, x, *, axes, keepdims):
        if not axes:
            raise NotExpressible("ncnn reduces all axes where none is named")
        listed = ",".join(map(str, (len(axes), *axes)))
        (y,) = self._layer("Reduction", {0: number, 1: 0, -23303: listed, 4: int(keepdims), 5: 1}, x)
        return y.reshape(()) if len(axes) == x.ndim and not keepdims and y.size == 1 else y

    def leaky_relu(self, x, *, alpha):
        if alpha == 0:
            raise NotExpressible("ncnn's slope of 0 is the rectifier")
        return self._layer("ReLU", {0: float(alpha)}, x)[0]

    def gelu(self, x, *, approximate):
        return self._layer("GELU", {0: int(approximate == "tanh")}, x)[0]

    def hard_swish(self, x):
        return self._layer("HardSwish", {0: 1 / 6, 1: 0.5}, x)[0]

    def swish(self, x, *, alpha):
        if alpha != 1:
            raise NotExpressible("ncnn's constant is 1")
        return self._layer("Swish", {}, x)[0]

    def prelu(self, x, slope):
        of_channels = (1, *x.shape[1:2], *[1] * (x.ndim - 2))
        if (
            x.ndim < 3
            or slope.size > 1
            and slope.reshape((1,) * (x.ndim - slope.ndim) + slope.shape).shape != of_channels
        ):
            raise NotExpressible("ncnn has a slope for each channel")
        return self._of_images(x, "PReLU", {0: slope.size}, [slope])

    def softmax(self, x, *, axis):
        return self._layer("Softmax", {0: axis, 1: 1}, x)[0]

    def concat(self, *xs, axis):
        return self._layer("Concat", {0: axis}, *xs)[0]

    def split(self, x, *, axis, sizes):
        if 0 in sizes:
            raise NotExpressible("ncnn has no array without elements")
        listed = ",".join(map(str, (len(sizes), *sizes)))
        return tuple(self._layer("Slice", {-23300: listed, 1: axis}, x, results=len(sizes)))

    def transpose(self, x, *, axes):
        orders = [(0, 1), (1, 0)] if x.ndim == 2 else [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
        if x.ndim not in (2, 3):
            raise NotExpressible("orders of two and three axes are asked for")
        return self._layer("Permute", {0: orders.index(tuple(axes))}, x)[0]

    def matmul(self, a, b):
        if a.ndim != b.ndim or a.ndim < 2 or a.shape[:-2] != b.shape[:-2]:
            raise NotExpressible("stacks of equal sizes are asked for")
        return self._layer("MatMul", {}, a, b)[0]

    def dense(self, x, w, b):
        weights = [np.uint32(0), w.T, *([] if b is None else [b])]
        return self._layer("InnerProduct", {0: w.shape[1], 1: int(b is not None), 2: w.size}, x, weights=weights)[0]

    def conv2d(self, x, w, b, *, stride, padding, dilation, groups):
        grouped = {7: groups} if groups > 1 else {}
        return self._convolution("Convolution", len(w), x, w, b, stride, padding, dilation, grouped)

    def conv_transpose2d(self, x, w, b, *, stride, padding, output_padding, dilation, groups):
        grouped = {7: groups} if groups > 1 else {}
        grouped |= dict(zip((18, 19, 20), output_padding[::-1], strict=False))
        channels = groups * w.shape[1]
        w = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)
        return self._convolution("Deconvolution", channels, x, w, b, stride, padding, dilation, grouped)

    def _convolution(self, kind, channels, x, w, b, stride, padding, dilation, further):
        kernel = w.shape[-len(stride) :]
        parameters = {0: channels, 5: int(b is not None), 6: w.size, **further}
        for numbers, values in ((_KERNEL, kernel), (_DILATION, dilation), (_STRIDE, stride)):
            parameters |= dict(zip(numbers, values[::-1], strict=False))
        for numbers, values in zip(_PADDING, sides(padding)[::-1], strict=False):
            parameters |= dict(zip(numbers, values, strict=True))
        weights = [np.uint32(0), w, *([] if b is None else [b])]
        return self._of_images(x, f"{kind}{'DepthWise' * (7 in further)}{_axes(stride)}", parameters, weights)

    def max_pool2d(self, x, **geometry):
        return self._pooling(x, {0: 0}, **geometry)

    def average_pool2d(self, x, *, count_include_padding, **geometry):
        return self._pooling(x, {0: 1, 6: int(count_include_padding)}, **geometry)

    def _pooling(self, x, parameters, *, kernel, stride, padding, dilation, ceil_mode):
        if max(dilation) > 1 or ceil_mode:
            raise NotExpressible("ncnn has no dilation here, and what its windows reach beyond is another")
        parameters = {**parameters, 5: 1}
        for numbers, values in ((_KERNEL, kernel), (_POOL_STRIDE, stride)):
            parameters |= dict(zip(numbers, values[::-1], strict=False))
        for numbers, values in zip(_POOL_PADDING, sides(padding)[::-1], strict=False):
            parameters |= dict(zip(numbers, values, strict=True))
        return self._of_images(x, f"Pooling{_axes(stride)}", parameters)

    def global_max_pool2d(self, x):
        return self._global_pooling(x, 0)

    def global_average_pool2d(self, x):
        return self._global_pooling(x, 1)

    def _global_pooling(self, x, number):
        if not 3 <= x.ndim <= 5:
            raise NotExpressible("ncnn has one to three axes of pixels")
        y = self._of_images(x, f"Pooling{_axes(x.shape[2:])}", {0: number, 4: 1})
        return y.reshape(*y.shape, *[1] * (x.ndim - 2))

    def batch_normalization(self, x, scale, bias, mean, variance, *, epsilon, momentum, training):
        if training:
            raise NotExpressible("ncnn does not train")
        weights = [scale, mean, variance, bias]
        return self._of_images(x, "BatchNorm", {0: len(scale), 1: epsilon}, weights)

    def instance_normalization(self, x, scale, bias, *, epsilon):
        # It wants two axes of pixels.
        images = x.reshape(*x.shape[:2], -1, x.shape[-1]) if x.size else x
        parameters = {0: len(scale), 1: epsilon, 2: 1}
        return self._of_images(images, "InstanceNorm", parameters, [scale, bias]).reshape(x.shape)

    def group_normalization(self, x, scale, bias, *, groups, epsilon):
        return self._of_images(x, "GroupNorm", {0: groups, 1: len(scale), 2: epsilon, 3: 1}, [scale, bias])

    def layer_normalization(self, x, scale, bias, *, axis, epsilon):
        return self._of_rows("LayerNorm", x, axis, epsilon, scale, bias)

    def rms_normalization(self, x, scale, *, axis, epsilon):
        return self._of_rows("RMSNorm", x, axis, epsilon, scale)

    def _of_rows(self, kind, x, axis, epsilon, *weights):
        shape = x.shape[axis:]
        if any(weight.ndim > len(shape) for weight in weights) or not x.size:
            raise NotExpressible("ncnn has one scale for all rows")
        weights = [np.broadcast_to(weight, shape) for weight in weights]
        size = math.prod(shape)
        (y,) = self._layer(kind, {0: size, 1: epsilon, 2: 1}, x.reshape(-1, size), weights=weights)
        return y.reshape(x.shape)

    def local_response_normalization(self, x, *, size, alpha, beta, bias):
        if size % 2 == 0 or x.ndim != 4:
            raise NotExpressible("ncnn takes as many neighbours on both sides, of images")
        return self._of_images(x, "LRN", {1: size, 2: float(alpha), 3: float(beta), 4: float(bias)})

    def depth_to_space(self, x, *, block, mode):
        return self._of_images(x, "PixelShuffle", {0: block, 1: int(mode == "DCR")})

    def space_to_depth(self, x, *, block, mode):
        return self._of_images(x, "Reorg", {0: block, 1: int(mode == "DCR")})

    def pad(self, x, *, pads, mode, constant_value):
        kinds = {"constant": 0, "edge": 1, "reflect": 2}
        pairs = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
        is_known = mode in kinds and x.ndim < 3 and min(pads, default=0) >= 0 and math.isfinite(constant_value)
        if not is_known or mode == "reflect" and any(max(p) >= n for p, n in zip(pairs, x.shape, strict=True)):
            raise NotExpressible("ncnn does not pad so")
        parameters = {4: kinds[mode], 5: float(constant_value)}
        for numbers, pair in zip(((2, 3), (0, 1)), pairs[::-1], strict=False):
            parameters |= dict(zip(numbers, pair, strict=True))
        return self._layer("Padding", parameters, x)[0]

    def resize(self, x, *, axes, sizes, mode, antialias, **how):
        kinds = {"nearest": 1, "linear": 2, "cubic": 3}
        transformation = "asymmetric" if mode == "nearest" else "half_pixel"
        is_known = how["coordinate_transformation_mode"] == transformation and not (antialias or how["exclude_outside"])
        is_known &= mode == "linear" or (
            how["nearest_mode"] == "floor" if mode == "nearest" else how["cubic_coeff_a"] == -0.75
        )
        if sizes is None or x.ndim != 4 or not is_known or how["keep_aspect_ratio_policy"] != "stretch":
            raise NotExpressible("ncnn has no such mode")
        shape = [dict(zip(axes, sizes, strict=True)).get(axis, size) for axis, size in enumerate(x.shape)]
        if shape[:2] != list(x.shape[:2]):
            raise NotExpressible("ncnn resizes images")
        return self._of_images(x, "Interp", {0: kinds[mode], 3: shape[2], 4: shape[3]})


def _axes(sizes):
    """Return what ncnn's names of layers end with: of images nothing."""
    return {1: "1D", 2: "", 3: "3D"}[len(sizes)]


def _number(value):
    return f"{value:.9e}" if isinstance(value, float) else value


def make(device=None):
    """Return ncnn, which computes in float32 in full if it is not told otherwise."""
    if device not in (None, *_WAYS):
        raise ValueError(f"ncnn is asked for as {', '.join(_WAYS)}")
    return Ncnn(device or "float32")
