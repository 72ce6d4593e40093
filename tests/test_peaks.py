"""What the limits of a device are measured by does the arithmetic that is counted, and no percentage says more."""

import dataclasses

import numpy as np
import pytest

import refcnn as rm
from refcnn.bench import arithmetic, peaks, workloads
from refcnn.errors import BackendError
from refcnn.opencl.convolution import choice
from refcnn.opencl.convolution.sizes import convolution
from refcnn.opencl.operations import conv2d, conv_transpose2d
from refcnn.opencl.shared.multiply_adds import CHAINS, MultiplyAdds
from refcnn.opencl.variants import use_variant

from .test_winograd import bounds


def of_every_width(device):
    return [MultiplyAdds(device, width) for width in MultiplyAdds.widths(device)]


def test_every_multiply_add_is_done(opencl_backend):
    """In whole numbers, which float32 has exactly up to 2^24: each step that were left out would show."""
    device = opencl_backend.device
    for work in of_every_width(device):
        for a, b, steps in ((-2.0, 3.0, 11), (1.0, 0.25, 1000), (2.0, -1.0, 0)):
            x = work.first.copy()
            for _ in range(steps):
                x = np.float32(a) * x + np.float32(b)
            found = device.to_host(work.launch(steps, a, b))
            assert found.shape[1] == work.first.shape[1] and len(found) >= device.compute_units
            np.testing.assert_array_equal(found, np.broadcast_to(x.sum(axis=0), found.shape))


def test_what_is_counted_is_two_for_each_number_and_step(opencl_backend):
    device = opencl_backend.device
    for work in of_every_width(device):
        results = device.to_host(work.launch(1)).size
        assert work.flop(7) == 7 * 2 * results * CHAINS


def test_no_number_leaves_its_range_however_long_a_measurement_takes(opencl_backend):
    device = opencl_backend.device
    for work in of_every_width(device):
        assert work.first.shape[0] == CHAINS and work.first.min() >= 0.25 and work.first.max() <= 0.75
        # Neighbours in a vector differ, so that no compiler computes one for all.
        assert len(np.unique(work.first)) > 1 and (np.diff(work.first, axis=1) != 0).all()
        even, odd = (device.to_host(work.launch(steps)) for steps in (100_000, 100_001))
        np.testing.assert_array_equal(even[0], work.first.sum(axis=0))
        np.testing.assert_array_equal(odd[0], (1 - work.first).sum(axis=0))


class Clock:
    """A device on which so many steps take so many seconds, as far as a measurement can see."""

    def __init__(self, monkeypatch, seconds_of):
        self.now, self.steps, self.seconds_of, self.name = 0.0, [], seconds_of, "opencl:9:9"
        monkeypatch.setattr(peaks.time, "perf_counter", lambda: self.now)

    def finish(self):
        pass

    def launch(self, steps):
        self.steps.append(steps)
        self.now += self.seconds_of(steps, len(self.steps))

    def flop(self, steps):
        return 1000 * steps


def test_the_peak_is_that_of_the_fastest_launch_of_some_that_take_long_enough(monkeypatch):
    # Every seventh launch has the cores for itself.
    clock = Clock(monkeypatch, lambda steps, number: 1e-6 * steps * (1 if number % 7 == 0 else 2))
    found = peaks._multiply_adds(clock, clock)
    assert found == pytest.approx(1000 / 1e-6 / 1e9)
    assert clock.seconds_of(clock.steps[-1], 7) >= peaks._LAUNCH_SECONDS / 2 and clock.steps[-1] < 2**12


def test_steps_that_a_compiler_leaves_out_are_no_peak(monkeypatch):
    clock = Clock(monkeypatch, lambda steps, number: 1e-5)
    with pytest.raises(BackendError, match="opencl:9:9 takes 0.01 ms for 1073741824 steps"):
        peaks._multiply_adds(clock, clock)


# The arithmetic of an algorithm.

WINDOW = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 2}


def arithmetic_of(device, x_shape, w_shape, operation="conv2d", **attributes):
    inputs = arithmetic.Shape(x_shape), arithmetic.Shape(w_shape), None
    return arithmetic.by_algorithm(device, operation, inputs, WINDOW | attributes)


@pytest.mark.parametrize("tile", [2, 4])
def test_winograd_counts_one_product_for_each_column_of_its_matrices(opencl_backend, tile):
    x_shape, w_shape = (3, 4, 7, 10), (6, 2, 3, 3)
    # y has 7 x 10 pixels too, of which the last tiles have fewer than others.
    tiles = 3 * -(-7 // tile) * -(-10 // tile)
    products = bounds.OF_PRODUCTS[tile].shape[1] ** 2
    with use_variant(f"winograd_{tile}x{tile}"):
        found = arithmetic_of(opencl_backend.device, x_shape, w_shape)
        wider = arithmetic_of(opencl_backend.device, x_shape, w_shape, padding=(2, 2, 2, 2))
    assert dataclasses.astuple(found) == 3 * (2 * tiles * products * 2 * 2 * 3,)
    # Of y there are 9 x 12 pixels then, and of dx as many as before.
    more = 3 * -(-9 // tile) * -(-12 // tile)
    assert wider.backward_x == found.backward_x and wider.forward == wider.backward_w == found.forward * more // tiles
    direct = 2 * 3 * 70 * 6 * 2 * 9
    assert found.forward < direct
    with use_variant("plain"):
        assert dataclasses.astuple(arithmetic_of(opencl_backend.device, x_shape, w_shape)) == (direct, direct, direct)


def test_directions_of_a_transposed_convolution_stand_for_one_another(opencl_backend):
    attributes = {**WINDOW, "padding": (0, 0, 0, 0)}
    with use_variant("winograd_4x4"):
        of_convolution = conv2d.algorithmic_flop(opencl_backend.device, (1, 4, 9, 9), (6, 2, 3, 3), **attributes)
        of_transposed = conv_transpose2d.algorithmic_flop(
            opencl_backend.device, (1, 6, 7, 7), (6, 2, 3, 3), output_padding=(0, 0), **attributes
        )
    assert of_convolution["forward"] != of_convolution["backward_x"]
    assert of_transposed == {
        "forward": of_convolution["backward_x"],
        "backward_x": of_convolution["forward"],
        "backward_w": of_convolution["backward_w"],
    }


def test_gradients_that_are_not_needed_are_not_counted():
    found = arithmetic.Arithmetic(1, 10, 100)
    assert [found.backward(needs) for needs in ((), (True,), (False, True, True), (True, True))] == [0, 10, 100, 110]


def test_a_workload_counts_what_the_device_does(opencl_backend, tmp_path):
    """Layer by layer, at the batch size of the workload, and no gradient of the images."""
    device, book = opencl_backend.device, workloads.Book(tmp_path)
    workload = book.network("chapter", "training", image_shape=(1, 8, 8), batch=5)
    with use_variant("plain"):
        assert workload.flop_on(device) == workload.flop
    with use_variant("winograd_4x4"):
        done = workload.flop_on(device)
        first, second = (
            choice.algorithmic_flop_of(device, convolution(x, w, **(WINDOW | {"groups": 1})))
            for x, w in (((5, 1, 8, 8), (32, 1, 3, 3)), ((5, 32, 8, 8), (64, 32, 3, 3)))
        )
    of_dense = 3 * 2 * 5 * (16 * 64 * 128 + 128 * 10)
    assert done == first["forward"] + first["backward_w"] + sum(second.values()) + of_dense < workload.flop


def test_a_profile_tells_what_is_done_and_what_the_formula_takes(opencl_backend):
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    from refcnn.bench import profiling

    with rm.use_backend(opencl_backend), use_variant("winograd_4x4"):
        layer, x = rm.Conv2d(8, padding=1), rm.Variable(np.ones((2, 8, 8, 8), np.float32), requires_grad=True)

        def step():
            with rm.Sequential([layer]).train():
                loss = layer(x).sum()
            loss.grad()
            return loss

        found = {one.label: one for one in profiling.profile(opencl_backend, step, steps=1).operations}
        done = arithmetic_of(opencl_backend.device, (2, 8, 8, 8), (8, 8, 3, 3), groups=1)
    forward, backward = found["conv2d forward 2x8x8x8"], found["conv2d backward 2x8x8x8"]
    assert (forward.flop, backward.flop) == (done.forward, done.backward_x + done.backward_w)
    assert forward.direct_flop * 2 == backward.direct_flop == 2 * 2 * (2 * 64 * 8 * 8 * 9)
    # A limit is of what is done.
    assert forward.limit(1e-9, 1e9) == done.forward
    assert "direct-equivalent" in "\n".join(profiling.lines(profiling.Profile([forward], 1, 1), 100.0, 10.0))
