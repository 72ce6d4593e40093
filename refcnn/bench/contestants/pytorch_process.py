"""PyTorch in eager mode: a process of any Python that has PyTorch, without refcnn.

It computes in float32, or in ``bfloat16`` if that is its argument.
"""

import importlib.util
import sys
import time
from pathlib import Path

import torch
from torch import nn


def _load(path):
    """Load one of refcnn's files that need nothing else of it.

    Its folder is no place to import from: others of its files have names that modules of PyTorch's have too.
    """
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


_CONTESTANTS, _BENCH, _REFCNN, *_ = Path(__file__).resolve().parents
answering = _load(_REFCNN / "answering.py")
batches = _load(_BENCH / "batches.py")
contestant = _load(_CONTESTANTS / "contestant.py")


#: How images lie in memory, by the usual names: channel by channel, as a rule, or pixel by pixel.
_FORMATS = {"NCHW": "contiguous_format", "NHWC": "channels_last"}
# Each format has so many turns of about so many seconds, of which the fastest counts.
_TURNS, _TURN_SECONDS = 5, 0.04


class PyTorch(contestant.Contestant):
    """PyTorch on the device that ``open`` names, ``cpu`` or ``cuda``, with images in the format that is the faster.

    Parameters
    ----------
    precision : str
        ``float32`` or ``bfloat16``, in which networks are trained with parameters in float32, as is usual.
    """

    def __init__(self, precision="float32"):
        self.precision = precision

    def open(self, device, threads):
        """Choose the device and the number of threads."""
        # TensorFloat-32 is no float32: it keeps ten bits of the fraction.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        # Its fastest algorithms, which it finds before the rounds begin.
        torch.backends.cudnn.benchmark = True
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        if device == "cuda":
            name = torch.cuda.get_device_name()
            self.finish_device = torch.cuda.synchronize
        else:
            name = f"{torch.get_num_threads()} threads"
            self.finish_device = lambda: None
        self.dtype = getattr(torch, self.precision)
        version, formats = f"PyTorch {torch.__version__}", " and ".join(_FORMATS)
        about = f"{version} in {self.precision} on {device} ({name}), the faster of {formats}"
        own = "PyTorch" if self.precision == "float32" else f"PyTorch {self.precision}"
        return {"name": own, "about": about, "kind": device}

    def memory(self):
        """Return the bytes of the device's memory that were held at most since the last workload was made."""
        return {"bytes": torch.cuda.max_memory_reserved() if self.device.type == "cuda" else None}

    def make(self, workload):
        """Make a network or a convolution ready."""
        self.finish = self.finish_device
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        find, steps = {"network": self._network, "convolution": self._convolution}[workload["kind"]], {}
        for name, memory_format in _FORMATS.items():
            model, steps[name] = find(getattr(torch, memory_format), **workload)
        self.remark = self._fastest(steps)
        self.step = steps[self.remark]
        return sum(parameter.numel() for parameter in model.parameters())

    def _fastest(self, steps):
        """Return the name of the step that takes the least time; they take turns."""
        for step in steps.values():
            self._seconds(step, 2)
        counts = {name: max(1, round(_TURN_SECONDS / self._seconds(step, 1))) for name, step in steps.items()}
        least = dict.fromkeys(steps, float("inf"))
        for _ in range(_TURNS):
            for name, step in steps.items():
                least[name] = min(least[name], self._seconds(step, counts[name]) / counts[name])
        return min(least, key=least.get)

    def _seconds(self, step, count):
        self.finish()
        start = time.perf_counter()
        for _ in range(count):
            step()
        self.finish()
        return time.perf_counter() - start

    def _tensor(self, array, **format):
        return torch.from_numpy(array).to(self.device, **format)

    def _network(self, memory_format, mode, steps, image_shape, batch, places, **_):
        torch.manual_seed(0)
        of_images = {"memory_format": memory_format}
        if mode == "inference":
            of_images["dtype"] = self.dtype
        model = _Network(steps).to(self.device, **of_images)
        images, labels = batches.images(batch, image_shape), batches.labels(batch, places)
        numbers = batches.endless()
        if mode == "inference":
            model.eval()

            def infer():
                with torch.inference_mode():
                    return model(self._tensor(images[next(numbers)], **of_images)).float().cpu().numpy()

            return model, infer
        optimizer = torch.optim.SGD(
            model.parameters(), lr=batches.LEARNING_RATE, momentum=batches.MOMENTUM, nesterov=True
        )

        def train():
            number = next(numbers)
            optimizer.zero_grad(set_to_none=True)
            x, targets = self._tensor(images[number], **of_images), self._tensor(labels[number])
            with torch.autocast(self.device.type, self.dtype, enabled=self.precision != "float32"):
                loss = nn.functional.cross_entropy(model(x), targets)
            loss.backward()
            optimizer.step()
            return loss.item()

        return model, train

    def _convolution(self, memory_format, mode, operation, x_shape, w_shape, stride, padding, dilation, groups, **_):
        format = {"memory_format": memory_format, "dtype": self.dtype}
        attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        shapes = w_shape, (1, w_shape[0], 1, 1)
        modules = nn.Sequential(*_modules(operation, shapes, attributes)).to(self.device, **format)
        x = self._tensor(batches.random(x_shape), **format).requires_grad_()
        wanted = [x, *modules.parameters()]
        dy = torch.rand_like(modules(x))

        def forward():
            with torch.inference_mode():
                modules(x)

        return modules, forward if mode == "inference" else lambda: torch.autograd.grad(modules(x), wanted, dy)


class _Network(nn.Module):
    """Recorded operations, one after the other: each takes results of earlier ones by their numbers, or the images."""

    def __init__(self, steps):
        super().__init__()
        self.steps = nn.ModuleList(
            _chained(list(_modules(operation, shapes, attributes))) for operation, _, shapes, attributes in steps
        )
        self.inputs = [inputs for _, inputs, _, _ in steps]
        # When a result was read for the last time it is let go, as it is where a network is written by hand.
        self.last_read = {number: step for step, inputs in enumerate(self.inputs) for number in inputs}

    def forward(self, x):
        results = {-1: x}
        for number, (step, inputs) in enumerate(zip(self.steps, self.inputs, strict=True)):
            results[number] = step(*(results[key] for key in inputs))
            for key in inputs:
                if self.last_read[key] == number:
                    results.pop(key, None)
        return results[number]


class _Joining(nn.Module):
    """A function of several results."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def _chained(modules):
    """Return one module that does several, one after the other; a single one may read several results."""
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def _modules(operation, shapes, attributes):
    """Yield the modules that do one operation of refcnn's, with parameters of such shapes."""
    attributes = {key: tuple(value) if isinstance(value, list) else value for key, value in attributes.items()}
    find = getattr(_Modules, operation, None)
    if find is None:
        raise NotImplementedError(f"the operation {operation}")
    yield from find(*shapes, **attributes)


class _Modules:
    """For each operation, under its name in refcnn, what yields PyTorch's modules that do the same."""

    @staticmethod
    def conv2d(w, b=None, *, stride, padding, dilation, groups):
        channels, inputs, *window = w
        axes = len(window)
        before, after = padding[:axes], padding[axes:]
        if before != after:
            # The last axis comes first.
            around = [count for both in zip(before[::-1], after[::-1], strict=True) for count in both]
            yield getattr(nn, f"ConstantPad{axes}d")(tuple(around), 0.0)
        module = getattr(nn, f"Conv{axes}d")
        own_padding = before if before == after else 0
        yield module(inputs * groups, channels, tuple(window), stride, own_padding, dilation, groups, b is not None)

    @staticmethod
    def conv_transpose2d(w, b=None, *, stride, padding, output_padding, dilation, groups):
        inputs, channels, *window = w
        module = getattr(nn, f"ConvTranspose{len(window)}d")
        own = _alike(padding)
        yield module(
            inputs, channels * groups, tuple(window), stride, own, output_padding, groups, b is not None, dilation
        )

    @staticmethod
    def batch_normalization(scale, *others, epsilon, momentum, training):
        yield nn.BatchNorm2d(*scale, epsilon, 1 - momentum)

    @staticmethod
    def add():
        yield _Joining(torch.add)

    @staticmethod
    def concat(*, axis):
        yield _Joining(lambda *xs: torch.cat(xs, axis))

    @staticmethod
    def clip(*, min, max):
        yield nn.Hardtanh(min, max)

    @staticmethod
    def dense(w, b=None):
        yield nn.Linear(*w, bias=b is not None)

    @staticmethod
    def max_pool2d(*, kernel, stride, padding, dilation, ceil_mode):
        module = getattr(nn, f"MaxPool{len(kernel)}d")
        yield module(kernel, stride, _alike(padding), dilation, ceil_mode=ceil_mode)

    @staticmethod
    def average_pool2d(*, kernel, stride, padding, dilation, ceil_mode, count_include_padding):
        if set(dilation) != {1}:
            raise NotImplementedError("average pooling with dilation")
        module = getattr(nn, f"AvgPool{len(kernel)}d")
        yield module(kernel, stride, _alike(padding), ceil_mode, count_include_padding)

    @staticmethod
    def global_average_pool2d():
        yield nn.AdaptiveAvgPool2d(1)

    @staticmethod
    def global_max_pool2d():
        yield nn.AdaptiveMaxPool2d(1)

    @staticmethod
    def dropout(*, ratio):
        yield nn.Dropout(ratio)

    @staticmethod
    def relu():
        yield nn.ReLU()

    @staticmethod
    def flatten():
        yield nn.Flatten()


def _alike(padding):
    axes = len(padding) // 2
    if padding[:axes] != padding[axes:]:
        raise NotImplementedError("pooling with padding that differs on opposite sides")
    return padding[:axes]


if __name__ == "__main__":
    answering.Parent().serve(PyTorch(*sys.argv[1:]))
