"""What the bench counts of a workload, and how it travels to who does it."""

import json
import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refcnn.bench import workloads
from refcnn.opencl.convolution.sizes import Convolution
from refcnn.reference import conv2d as reference

from .conftest import TINY


@given(
    n=st.integers(1, 2),
    groups=st.integers(1, 2),
    c=st.integers(1, 3),
    k=st.integers(1, 3),
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_a_convolution_counts_each_product_twice(n, groups, c, k, size, window, stride):
    geometry = Convolution((n, c * groups, *size), (k * groups, c, *window), stride, (0, 0, 0, 0), (1, 1), groups)
    x, w = np.ones(geometry.x_shape), np.ones(geometry.w_shape)
    # Of ones without padding the sum of the results is the number of products.
    y, _ = reference.forward(x, w, None, stride=stride, padding=(0, 0, 0, 0), dilation=(1, 1), groups=groups)
    assert workloads.layer_flop(geometry) == 2 * y.sum()
    assert geometry.y_shape == y.shape


def test_the_chapter_counts_its_layers(book):
    first, others = 784 * 32 * 9, 784 * 64 * 32 * 9 + 14 * 14 * 64 * 128 + 128 * 10
    assert book.network("chapter", "inference").flop == 64 * 2 * (first + others)
    # The images need no gradient.
    assert book.network("chapter", "training").flop == 64 * 2 * (2 * first + 3 * others)
    assert book.network("chapter", "training", batch=1).flop * 64 == book.network("chapter", "training").flop


def test_the_grid_has_what_it_shall_have():
    geometries = [layer.geometry for layer in workloads.GRID]
    assert len({layer.name for layer in workloads.GRID}) == len(workloads.GRID) >= 20
    assert {one.w_shape[2] for one in geometries} == {1, 3, 5, 7}
    assert {one.stride for one in geometries} == {(1, 1), (2, 2)}
    assert {one.x_shape[0] for one in geometries} >= {1, 256}
    assert any(one.groups == one.x_shape[1] > 1 for one in geometries)
    names = " ".join(layer.name for layer in workloads.GRID)
    assert all(network in names for network in ("VGG-16", "ResNet-50", "MobileNet"))
    # The sizes that these layers have in their networks.
    sizes = {layer.name: layer.geometry.y_shape[2] for layer in workloads.GRID}
    assert sizes["ResNet-50 conv1 7x7 stride 2, batch 4"] == 112 and sizes["VGG-16 conv1_1 3x3, batch 1"] == 224


def test_workloads_travel_as_json(book):
    for workload in (book.network("lenet5", "training"), book.layer(TINY, "inference")):
        description = json.loads(json.dumps(workload.description))
        assert description["parameters"] > 0 and os.path.getsize(description["onnx"]) > 4 * description["parameters"]
    names = [operation for operation, *_ in book.network("chapter", "training").description["steps"]]
    assert names == ["conv2d", "relu", "conv2d", "relu", "max_pool2d", "dropout", "flatten", "dense", "relu", "dense"]


def test_steps_tell_which_results_they_read(book):
    description = book.network("unet", "training", image_shape=(3, 16, 16), batch=2).description
    assert description["places"] == (16, 16)
    steps = description["steps"]
    assert steps[0][0] == "conv2d" and steps[0][1] == [-1]
    (narrow, wide), *_ = (inputs for operation, inputs, *_ in steps if operation == "concat")
    assert steps[narrow][0] == "relu" and steps[wide][0] == "conv_transpose2d"
    assert all(number < place for place, (_, inputs, *_) in enumerate(steps) for number in inputs)
