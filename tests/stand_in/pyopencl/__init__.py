"""pyopencl whose only platforms have devices that do what no device should: for tests of how refcnn treats them.

It is imported in pyopencl's place where its folder comes first on PYTHONPATH. ``REFCNN_STAND_IN`` lists what its
devices do, separated by commas (see ``KINDS``); they are GPUs, which refcnn prefers. A line for each build that a
device is asked for is added to the file that ``REFCNN_STAND_IN_LOG`` names. The devices compute on the host, and
know no kernel but the trial's.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

_FOLDER = Path(__file__).resolve().parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != _FOLDER]
del sys.modules["pyopencl"]
import pyopencl as cl

KINDS = ("works", "builds-nothing", "computes-wrongly", "hangs", "crashes", "has-no-context")


class _Record:
    """What pyopencl's errors are made of."""

    def __init__(self, routine, code, what):
        self.routine, self.code, self.what = (lambda: routine), (lambda: code), (lambda: what)


def error(routine, code, what=""):
    return cl.RuntimeError(_Record(routine, code, what))


class Platform:
    name = "Stand-in"
    version = "OpenCL 3.0 stand-in"

    def get_devices(self):
        return [Device(self, kind) for kind in os.environ["REFCNN_STAND_IN"].split(",")]


class NoDevices(Platform):
    name = "Stand-in without devices"

    def get_devices(self):
        raise error("clGetDeviceIDs", cl.status_code.DEVICE_NOT_FOUND)


class Device:
    type = cl.device_type.GPU
    driver_version = "1"
    version = "OpenCL 3.0"
    max_compute_units = 1
    global_mem_size = 2**30
    max_mem_alloc_size = 2**28
    mem_base_addr_align = 1024
    native_vector_width_float = 4

    def __init__(self, platform, kind):
        if kind not in KINDS:
            raise ValueError(f"REFCNN_STAND_IN names {kind!r}, but there are {KINDS}")
        self.platform, self.kind, self.name = platform, kind, f"stand-in that {kind}"


class Context:
    def __init__(self, device):
        if device.kind == "has-no-context":
            raise error("clCreateContext", cl.status_code.DEVICE_NOT_AVAILABLE)
        self.device = device


class Queue:
    def finish(self):
        pass


class Event:
    def wait(self):
        pass


class Buffer:
    def __init__(self, contents):
        self.contents = contents

    def get_sub_region(self, start, nbytes):
        return Buffer(self.contents[start : start + nbytes])


class Program:
    kernel_names = "trial"

    def __init__(self, context):
        self.device = context.device

    def build(self, options=(), devices=None, cache_dir=None):
        if "REFCNN_STAND_IN_LOG" in os.environ:
            with open(os.environ["REFCNN_STAND_IN_LOG"], "a", encoding="utf-8") as log:
                log.write(f"{self.device.name}\n")
        if self.device.kind == "builds-nothing":
            message = f"Build on <pyopencl.Device '{self.device.name}'>:\n\nerror: unknown target CPU 'generic'"
            raise error("clBuildProgram", cl.status_code.BUILD_PROGRAM_FAILURE, message)
        if self.device.kind == "hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
        if self.device.kind == "crashes":
            os.abort()
        return self


class Kernel:
    num_args = 4

    def __init__(self, program):
        self.device, self.arguments = program.device, {}

    def set_arg(self, index, value):
        self.arguments[index] = value

    def run(self, groups_of):
        x, y = (self.arguments[index].contents.view(np.float32) for index in (0, 1))
        n, a = int(self.arguments[2]), self.arguments[3]
        i = np.arange(n)
        first = i - i % groups_of
        other = first + groups_of - 1 - i % groups_of
        reversed_x = np.where(other < n, x[np.minimum(other, n - 1)], 0)
        y[:n] = a * reversed_x + i
        if self.device.kind == "computes-wrongly":
            y[7] += 1


def _or_stand_in(name, is_stand_ins, stand_in):
    real = getattr(cl, name)

    def choose(*arguments, **options):
        return (stand_in if is_stand_ins(*arguments) else real)(*arguments, **options)

    setattr(cl, name, choose)


def _platforms():
    return [Platform(), NoDevices()]


def _copy(queue, target, source, **options):
    if isinstance(target, Buffer):
        target.contents[: source.nbytes] = source.reshape(-1).view(np.uint8)
    else:
        target.reshape(-1).view(np.uint8)[:] = source.contents[: target.nbytes]
    return Event()


def _launch(queue, kernel, global_size, local_size):
    kernel.run(local_size[0])
    return Event()


cl.get_platforms = _platforms
_or_stand_in("Context", lambda devices: isinstance(devices[0], Device), lambda devices: Context(devices[0]))
_or_stand_in("CommandQueue", lambda context, *_: isinstance(context, Context), lambda *_, **options: Queue())
_or_stand_in(
    "Buffer",
    lambda context, *_: isinstance(context, Context),
    lambda context, flags, nbytes: Buffer(np.zeros(nbytes, np.uint8)),
)
_or_stand_in("Program", lambda context, *_: isinstance(context, Context), lambda context, text: Program(context))
_or_stand_in("Kernel", lambda program, *_: isinstance(program, Program), lambda program, name: Kernel(program))
_or_stand_in("enqueue_fill_buffer", lambda queue, *_: isinstance(queue, Queue), lambda *_: Event())
_or_stand_in("enqueue_copy", lambda queue, *_: isinstance(queue, Queue), _copy)
_or_stand_in("enqueue_nd_range_kernel", lambda queue, *_: isinstance(queue, Queue), _launch)
