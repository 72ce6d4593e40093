"""refcnn on one backend, through its public interface: ``python -m refcnn.bench.contestants.refcnn_process``."""

import dataclasses
import os

import numpy as np

import refcnn as rm

from ... import npz
from ...answering import Parent
from ...backend import use_backend
from ...fitting.callbacks import Callback
from ...mode import recording
from ...runs import training
from .. import batches, workloads
from .contestant import Contestant


class Refcnn(Contestant):
    """refcnn on the backend that ``open`` names."""

    def __init__(self):
        self._kept = {}

    def open(self, device, threads):
        """Choose a backend; ``threads`` is the runtime's own affair."""
        self.backend = use_backend(device).__enter__()
        about = {"name": self.backend.name, "about": self.backend.description, "kind": "cpu"}
        if hasattr(self.backend, "device"):
            about["kind"] = self.backend.device.kind
        return about

    def peaks(self):
        """Return the device's limits, in GFLOP/s and GB/s, and what its own matrix product reaches."""
        from .. import peaks

        return self._limits() | {"product_gflops": peaks.matrix_product(self.backend)}

    def _limits(self):
        from .. import peaks

        return {"gflops": peaks.multiply_adds(self.backend), "bandwidth": peaks.elementwise(self.backend)}

    def profile(self, width):
        """Return where the time of the workload's steps goes, as text in lines of that width and as data."""
        from .. import profiling

        found, limits = profiling.profile(self.backend, self.begin), self._limits()
        return {"lines": profiling.lines(found, **limits, width=width), "profile": dataclasses.asdict(found), **limits}

    def keep(self, name):
        """Keep the workload that was prepared last under a name, while others are prepared."""
        self._kept[name] = self.step
        return {}

    def resume(self, name):
        """Let :meth:`run` do one that is kept."""
        self.step = self._kept[name]
        return {}

    def forget(self):
        """Let go of those that are kept."""
        self._kept.clear()
        return {}

    def epochs(self, rounds, steps, batch, folder):
        """Return the seconds of epochs that 'refcnn train' takes over so many batches of random images.

        After each of them the prepared workload is done as often as an epoch has batches, so that the machine's state
        is the same for both.

        Returns
        -------
        dict of str to list of float
            ``epochs`` and ``steps``, of each as many as there are rounds. The first epoch is none of them.
        """
        validation = 100
        count = steps * batch + validation
        x = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        y = np.arange(count) % batches.CLASSES
        npz.write(f"{folder}/data.npz", {"x": x, "y": y})
        session = training.start(
            {
                "data": f"{folder}/data.npz",
                "model": "chapter",
                "epochs": 1 + rounds,
                "batch_size": batch,
                "optimizer": "momentum",
                "lr": 1e-4,
                "validation_split": validation / count,
                "seed": 0,
            },
            f"{folder}/run",
        )
        beside = _Beside(lambda: self.run(steps)["seconds"])
        session.loop.callbacks.append(beside)
        session.finish(lambda line: None)
        return {"epochs": [row["seconds"] for row in session.history[1:]], "steps": beside.seconds[1:]}

    def host_memory(self):
        """Return the bytes of memory that this process has at present."""
        with open("/proc/self/statm") as file:
            return {"bytes": int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")}

    def memory(self):
        """Return the bytes of the device's memory that are held: the most that were needed at once."""
        return {"bytes": self.backend.device.held_memory}

    def make(self, workload):
        """Make a network or a convolution ready."""
        self.finish = self.backend.device.finish
        if workload["kind"] == "file":
            return self._file(**workload)
        make = {"network": self._network, "convolution": self._convolution}[workload["kind"]]
        model = make(**workload)
        return sum(int(np.prod(parameter.shape)) for _, parameter in model.parameters())

    def _file(self, onnx, inputs, parameters, **_):
        model, feeds, numbers = rm.onnx.load(onnx), batches.feeds(inputs), batches.endless()
        feeds = [[feed[name] for name in model.input_names] for feed in feeds]
        self.begin = lambda: model(*feeds[next(numbers)])
        self.step = lambda: model.run(feeds[next(numbers)])
        return parameters

    def _network(self, mode, model, image_shape, batch, places, **_):
        rm.set_seed(0)
        cnn = workloads.make(model, tuple(image_shape))
        images, labels = batches.images(batch, image_shape), batches.labels(batch, places)
        numbers = batches.endless()
        if mode == "inference":
            self.step = lambda: cnn(images[next(numbers)]).as_ndarray()
            return cnn
        targets = labels if places else [rm.data.one_hot(one, batches.CLASSES) for one in labels]
        optimizer = rm.Sgd(lr=batches.LEARNING_RATE, momentum=batches.MOMENTUM, nesterov=True)

        step = rm.TrainingStep(cnn, optimizer, rm.softmax_cross_entropy)

        def begin():
            number = next(numbers)
            return step(images[number], targets[number])

        self.begin, self.step = begin, lambda: float(begin())
        return cnn

    def _convolution(self, mode, x_shape, w_shape, stride, padding, dilation, groups, **_):
        channels, _, *window = w_shape
        layer = rm.Conv2d(
            channels,
            tuple(window),
            padding=tuple(padding),
            stride=tuple(stride),
            dilation=tuple(dilation),
            groups=groups,
        )
        x = rm.Variable(batches.random(x_shape), requires_grad=True)
        with recording():
            y = layer(x)
        node, dy = y.node, self.backend.array(batches.random(y.shape))

        def forward():
            with recording():
                result = layer(x)
            result.on(self.backend).computed()
            return result.node.saved

        def both():
            node.implementation.backward(dy, forward(), (True, True, True), **node.attributes)

        self.step = forward if mode == "inference" else both
        return rm.Sequential([layer])


class _Beside(Callback):
    """Measures something else after each epoch."""

    def __init__(self, measure):
        self.measure, self.seconds = measure, []

    def on_epoch_end(self, loop):
        self.seconds.append(self.measure())


if __name__ == "__main__":
    Parent().serve(Refcnn())
