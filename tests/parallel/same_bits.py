"""Run by each rank, or by one process: trains what it is told, or goes on with it.

Arguments: a backend, and a list of JSON with for each run its folder, its options, and after which batch a signal stops
it (none, if that is 0).
"""

import contextlib
import json
import os
import signal
import sys

from threadpoolctl import threadpool_limits

from refcnn.cli.ranks import use_device
from refcnn.fitting import Callback
from refcnn.interruption import Interrupted
from refcnn.parallel.ranks import joined
from refcnn.runs import training
from refcnn.runs.run_folder import RunFolder

MODEL = "networks_of_bits:network"
#: With all that depends on which examples are computed together, and kernels of each kind.
MODULE = """
import numpy as np
import refcnn as rm
from refcnn.mode import is_training


class Counting(rm.Layer):
    def buffer_shapes(self):
        return {"images": ()}

    def forward(self, x):
        if not self.buffers:
            self.set_buffers({"images": np.zeros((), np.int64)})
        if is_training():
            self.buffers["images"].set(self.buffers["images"].as_ndarray() + x.shape[0])
        return x


def network(image_shape, classes):
    return rm.Sequential([
        rm.Conv2d(8, filter=3, padding=1), rm.BatchNormalization(), rm.Relu(), rm.SpatialDropout(0.2),
        rm.Conv2d(16, filter=3, padding=1), rm.BatchNormalization(), rm.Relu(),
        rm.Conv2d(16, filter=3, padding=1, groups=16), rm.LayerNormalization(), rm.MaxPool2d(2, stride=2),
        Counting(), rm.Flatten(), rm.Dropout(0.4), rm.Dense(classes),
    ])
"""


class Signal(Callback):
    """Asks to stop after a batch, on the last rank alone."""

    def __init__(self, batch, ranks):
        self._left, self._ranks = batch, ranks

    def on_batch_end(self, loop):
        self._left -= 1
        if self._left == 0 and self._ranks.rank == self._ranks.size - 1:
            signal.raise_signal(signal.SIGINT)


def main(specification, runs):
    """Do what the command line asks for."""
    sys.path.insert(0, os.getcwd())
    with joined() as ranks, threadpool_limits(limits=1, user_api="blas"):
        use_device(ranks, specification)
        for folder, options, stop in json.loads(runs):
            if options is None:
                session = training.resume(ranks.by_first(RunFolder.open, folder, MODEL), {}, ranks)
            else:
                session = training.start({"data": "data.npz", "model": MODEL, **options}, folder, ranks=ranks)
            session.loop.callbacks.append(Signal(stop, ranks))
            with contextlib.suppress(Interrupted):
                session.finish(lambda line: None)
    print("through\n", end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
