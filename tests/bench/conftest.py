"""What the tests of the bench share: tiny workloads, and one device. No test asserts a speed."""

import os

import pytest

from refcnn.bench import measuring, running, workloads
from refcnn.bench.workloads import Layer
from refcnn.errors import BackendError
from refcnn.opencl.convolution.sizes import Convolution

TINY = Layer("tiny 3x3, batch 2", Convolution((2, 4, 7, 6), (6, 2, 3, 3), (2, 1), (1, 0, 1, 2), (1, 1), 2))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    """No test asserts a speed, so that nobody need wait for others' threads to come to rest."""
    monkeypatch.setattr(measuring, "_PAUSE", 0)


@pytest.fixture
def book(tmp_path):
    return workloads.Book(tmp_path)


@pytest.fixture
def device():
    """The name of one device: what is tested with it does not depend on which, and takes seconds."""
    named = os.environ.get("REFCNN_TEST_DEVICES", "").split(",")[0]
    try:
        return running.device_names([f"opencl:{named}"] if named.replace(":", "").isdecimal() else ())[0]
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def tiny(monkeypatch):
    """Makes every workload tiny."""
    monkeypatch.setattr(workloads, "QUICK_GRID", (TINY,))
    monkeypatch.setattr(running, "BATCHES", (1, 4))
    monkeypatch.setattr(running, "SIZES", (14, 28))
    monkeypatch.setattr(workloads, "CHAPTER_BATCH", 2)
    monkeypatch.setattr(workloads, "CHAPTER_IMAGE", (1, 6, 6))
    monkeypatch.setattr(running.Options, "turn_seconds", 0.001)
    small = {"image_shape": (1, 6, 6), "batch": 2}
    network = workloads.Book.network
    monkeypatch.setattr(workloads.Book, "network", lambda self, *names, **_: network(self, *names, **small))
