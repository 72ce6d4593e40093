"""What is fused into the kernel before it: the same bits as without, whatever else is read."""

import contextlib
import types
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import mode, rooms
from refcnn.backend import find, results_of
from refcnn.conformance.bundles import bundle
from refcnn.conformance.judging import comparison, composition, judge
from refcnn.conformance.operations import conv2d, dense
from refcnn.conformance.subjects import backends
from refcnn.conformance.theory.bounds import subnormals
from refcnn.conformance.theory.strategies import Case
from refcnn.opencl import variants
from refcnn.opencl.convolution import winograd, winograd_weights
from refcnn.opencl.shared.fusion import RECTIFIED, Limits

from .operations.checks import within

REFERENCE = find("reference")
FOLDED = ("batch_normalization",)


#: What keeps numbers within limits, with its attributes; the last has the least above the most.
LIMITING = {"relu": ({},), "clip": ({"min": -0.5, "max": 0.25}, {"min": 1.0, "max": -1.0})}
limiting = st.sampled_from([(name, attributes) for name, rows in LIMITING.items() for attributes in rows])


@given(
    case=conv2d.cases("tiny"),
    variant=st.sampled_from(rooms.trait(rooms.OPENCL, "conv2d", "FUSED")["relu"]),
    follower=limiting,
)
def test_rectifier_after_a_convolution(opencl_backend, case, variant, follower):
    check_both(opencl_backend, "conv2d", case, variant, *follower)


@given(
    case=dense.cases("tiny"),
    variant=st.sampled_from(rooms.trait(rooms.OPENCL, "dense", "FUSED")["relu"]),
    follower=limiting,
)
def test_rectifier_after_dense(opencl_backend, case, variant, follower):
    check_both(opencl_backend, "dense", case, variant, *follower)


@given(case=rooms.require(rooms.CONFORMANCE, "batch_normalization").cases("tiny"), follower=limiting)
def test_rectifier_after_batch_normalisation(opencl_backend, case, follower):
    check_both(opencl_backend, "batch_normalization", case, "chosen", *follower)


def check_both(backend, operation, case, variant, follower="relu", of_follower=None):
    """Rectified or clipped in the kernel, in a kernel of its own, and read between: all the same bits."""
    sums, limiting = backend.operation(operation), backend.operation(follower)
    limits = Limits(of_follower["min"], of_follower["max"]) if of_follower else RECTIFIED
    arrays = [None if entry is None else backend.array(entry) for entry in case.inputs]
    with variants.use_variant(variant):
        y, separate = (results_of(sums.forward(*arrays, **case.attributes)[0])[0] for _ in range(2))
        fused, _ = limiting.forward(y, **(of_follower or {}))
        between = backend.to_host(separate)
        after, _ = limiting.forward(separate, **(of_follower or {}))
    found = backend.to_host(fused)
    np.testing.assert_array_equal(found, backend.to_host(after))
    np.testing.assert_array_equal(found, within(between, limits))
    # What the rectifier took over can still be read by itself.
    np.testing.assert_array_equal(backend.to_host(y), between)


def test_launches_of_a_rectifier_are_spared(opencl_backend):
    device = opencl_backend.device
    x, w = (opencl_backend.array(np.ones(shape)) for shape in ((1, 2, 5, 5), (3, 2, 3, 3)))
    attributes = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    with variants.use_variant("cpu"), device.capture() as capture:
        y, _ = opencl_backend.operation("conv2d").forward(x, w, None, **attributes)
        assert not capture.launches
        opencl_backend.operation("relu").forward(y)[0].computed()
    assert "relu" not in capture.sources
    assert capture.launches


@given(case=rooms.require(rooms.CONFORMANCE, "add").cases("tiny"))
def test_rectifier_after_a_sum(opencl_backend, case):
    """Of floats; what else is added is computed at once."""
    if case.inputs[0].dtype == np.float32:
        check_both(opencl_backend, "add", case, "chosen")
    else:
        y, _ = opencl_backend.operation("add").forward(*map(opencl_backend.array, case.inputs))
        np.testing.assert_array_equal(opencl_backend.to_host(y), case.inputs[0] + case.inputs[1])


def test_a_sum_and_its_rectifier_are_one_pass(opencl_backend):
    a, b = (opencl_backend.array(entry) for entry in ([[-2.0, np.nan, 3.0]], [[1.0], [-4.0]]))
    with opencl_backend.device.capture() as capture:
        y, _ = opencl_backend.operation("relu").forward(opencl_backend.operation("add").forward(a, b)[0])
        found = opencl_backend.to_host(y)
    np.testing.assert_array_equal(found, [[0, np.nan, 4], [0, np.nan, 0]])
    assert len(capture.launches) == 1


def test_long_rows_of_sums(opencl_backend):
    """Each is computed when it is added to, so that none waits for thousands of others."""
    with rm.use_backend(opencl_backend):
        total = rm.Variable(np.zeros(3))
        for _ in range(2000):
            total = total + 1
        np.testing.assert_array_equal(total.as_ndarray(), [2000] * 3)


@pytest.mark.parametrize(("follower", "attributes"), [(name, rows[0]) for name, rows in LIMITING.items()])
@pytest.mark.parametrize("shape", [(6, 5, 9, 9), (70, 7), (2, 3, 700)])
def test_batch_normalisation_and_its_rectifier_are_one_pass(opencl_backend, follower, attributes, shape):
    """In training: forward, and backward, where dy is masked as it is read; what there is between is never stored."""
    norm, limiting = map(opencl_backend.operation, ("batch_normalization", follower))
    rng, training = np.random.default_rng(0), NORMALISED | {"training": True}
    x, dy = rng.standard_normal((2, *shape)).astype(np.float32)
    scale, bias, *others = of_normalisation(rng, shape[1])
    # All of the first channel is the least there may be, whose gradient clip passes on and the rectifier does not.
    x[:, 0], bias[0] = 3, attributes.get("min", 0)
    x, dy, *of_channels = map(opencl_backend.array, (x, dy, scale, bias, *others))
    found, kernels = [], set()
    for is_fused in (True, False):
        with mode.recording(), opencl_backend.device.capture() as capture:
            (between, *running), of_norm = norm.forward(x, *of_channels, **training)
            if not is_fused:
                between.computed()
            y, saved = limiting.forward(between, **attributes)
            y.computed()
            (back,) = limiting.backward(dy, saved, (True,), **attributes)
            gradients = norm.backward((back, *running), of_norm, (True,) * 5, **training)
        launched = [launch.kernel_name for launch in capture.launches]
        kernels = kernels or set(launched)
        assert launched.count("normalise") == 1
        found.append([opencl_backend.to_host(entry) for entry in (y, *running, back, *gradients)])
    assert not any(name.startswith(("relu", "unary")) for name in kernels)
    (*forward, back, dx, dscale, dbias, _, _), expected = found[0], found[1]
    for one, other in zip((*forward, back), expected, strict=False):
        np.testing.assert_array_equal(one, other)
    assert (dbias[0] != 0) == (follower == "clip")
    for one, other in zip((dx, dscale, dbias), expected[len(forward) + 1 :], strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_gradients_of_what_is_normalised_and_used_twice(opencl_backend):
    """The mask of one of its uses is none of the other's gradient."""
    rng = np.random.default_rng(0)
    x, (scale, bias, *_) = rng.standard_normal((4, 3, 5, 5)).astype(np.float32), of_normalisation(rng, 3)

    def gradients(backend):
        with rm.use_backend(backend):
            parameters = [rm.Variable(entry, requires_grad=True) for entry in (x, scale, bias)]
            with rm.Sequential([]).train():
                y = rm.batch_normalization(*parameters, np.zeros(3), np.ones(3))
                loss = rm.reduce_sum(rm.clip(y, -0.5, 0.5) * x + rm.relu(y) * np.cos(x) + y)
            grads = loss.grad()
            return [grads.get(entry).as_ndarray() for entry in parameters]

    for one, other in zip(gradients(opencl_backend), gradients("reference:float64"), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_clip_after_a_convolution_is_one_pass_where_nothing_is_recorded(opencl_backend):
    """Recorded, its gradient needs what it is given; after a sum it has a kernel of its own."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 9, 9), (4, 3, 3, 3)))

    def launched(function, *blocks):
        with (
            rm.use_backend(opencl_backend),
            opencl_backend.device.capture() as capture,
            contextlib.ExitStack() as stack,
        ):
            for block in blocks:
                stack.enter_context(block)
            function().as_ndarray()
        return {launch.kernel_name for launch in capture.launches}

    def convolved():
        return rm.clip(rm.conv2d(x, w, padding=1), 0, 6)

    assert "unary_forward" not in launched(convolved)
    assert "unary_forward" in launched(convolved, mode.recording())
    assert {"binary_forward", "unary_forward"} <= launched(lambda: rm.clip(rm.add(x, x), 0, 6))


NORMALISED = {"epsilon": 1e-5, "momentum": 0.9, "training": False}


def convolved_and_normalised(backend, x, w, b, of_channels):
    """Return what the convolution gave, not computed yet as a rule, and what batch normalisation made of it."""
    attributes = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    arrays = [None if entry is None else backend.array(entry) for entry in (x, w, b, *of_channels)]
    y, _ = backend.operation("conv2d").forward(*arrays[:3], **attributes)
    return y, backend.operation("batch_normalization").forward(y, *arrays[3:], **NORMALISED)[0]


def of_normalisation(rng, channels):
    """Return scale, bias, mean and variance, as trained networks have them, far from 0 and 1."""
    scale, bias, mean = rng.standard_normal((3, channels)).astype(np.float32)
    return scale, bias, 3 * mean, rng.uniform(0.01, 4, channels).astype(np.float32)


@pytest.mark.parametrize("variant", rooms.trait(rooms.OPENCL, "conv2d", "FUSED")["batch_normalization"])
@pytest.mark.parametrize("has_bias", [False, True])
def test_batch_normalisation_after_a_convolution_costs_no_pass(opencl_backend, variant, has_bias):
    """At inference, whatever follows; and what it gives is what the operations give one after the other."""
    rng, device, relu = np.random.default_rng(0), opencl_backend.device, opencl_backend.operation("relu")
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 3, 12, 12), (6, 3, 3, 3), (1, 6, 1, 1)))
    arrays = x, w, b if has_bias else None, of_normalisation(rng, 6)
    with variants.use_variant(variant), device.capture() as capture:
        _, y = convolved_and_normalised(opencl_backend, *arrays)
        assert not capture.launches
        y.computed()
    kernels = {launch.kernel_name for launch in capture.launches}
    assert "fold" in kernels and not kernels & {"normalise", "factors"}
    with variants.use_variant(variant):
        between, read_after = convolved_and_normalised(opencl_backend, *arrays)
        rectified, _ = relu.forward(read_after)
        found, of_conv2d, of_relu = map(opencl_backend.to_host, (y, between, rectified))
    scale, bias, mean, variance = (entry.reshape(6, 1, 1).astype(np.float64) for entry in arrays[-1])
    # What was taken over can still be read by itself.
    np.testing.assert_allclose(found, (of_conv2d - mean) / np.sqrt(variance + 1e-5) * scale + bias, atol=2e-4)
    np.testing.assert_array_equal(of_relu, np.maximum(found, 0))


@pytest.mark.parametrize("reason", ["recorded", "more kernels than results", "computed", "rectified"])
def test_batch_normalisation_stands_alone(opencl_backend, reason):
    """Where its gradients need what it is given, where it would take longer, or where that is not a convolution's."""
    rng, images = np.random.default_rng(0), (1, 8, 3, 3) if reason == "more kernels than results" else (2, 8, 9, 9)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in (images, (4, 8, 3, 3)))
    scale, bias, mean, variance = of_normalisation(rng, 4)
    with rm.use_backend(opencl_backend), opencl_backend.device.capture() as capture, contextlib.ExitStack() as blocks:
        if reason == "recorded":
            blocks.enter_context(mode.recording())
        y = rm.conv2d(x, w, padding=1)
        if reason == "computed":
            y.as_ndarray()
        if reason == "rectified":
            y = rm.relu(y)
        rm.batch_normalization(y, scale, bias, mean, variance).as_ndarray()
    kernels = {launch.kernel_name for launch in capture.launches}
    assert "normalise" in kernels and "fold" not in kernels


def test_batch_normalisation_of_a_convolution_over_signals(opencl_backend):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4, 30), (6, 4, 3)))
    of_channels = of_normalisation(rng, 6)
    with opencl_backend.device.capture() as capture, rm.use_backend(opencl_backend):
        found = rm.batch_normalization(rm.conv1d(x, w), *of_channels).as_ndarray()
    assert "fold" in {launch.kernel_name for launch in capture.launches}
    with rm.use_backend("reference:float64"):
        exact = rm.batch_normalization(rm.conv1d(x, w), *of_channels).as_ndarray()
    np.testing.assert_allclose(found, exact, atol=2e-4)


def test_batch_normalisation_that_is_forgotten_is_a_failure(opencl_backend):
    """The kernels' factor, the bias that there was, and the one that is added each show."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 2, 6, 6), (3, 2, 3, 3), (1, 3, 1, 1)))
    attributes = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    case = composition.followed(conv2d.Case((x, w, b), attributes, np.ones((2, 3, 6, 6), np.float32)), FOLDED)
    assert judge.check_forward("conv2d", case, REFERENCE, followers=FOLDED) <= 1
    sums = REFERENCE.operation("conv2d")
    for without in (lambda w, b: (w, 0 * b), lambda w, b: (1.001 * w, b)):
        wrong = types.SimpleNamespace(
            forward=lambda x, w, b, without=without, **rest: sums.forward(x, *without(w, b), **rest), backward=None
        )
        with pytest.raises(comparison.ConformanceFailure, match=r"conv2d.forward\+batch_normalization"):
            judge.check_forward("conv2d", case, REFERENCE, implementation=wrong, followers=FOLDED)
    with pytest.raises(composition.NoSuchResult):
        judge.check_backward("conv2d", case, REFERENCE, followers=FOLDED)


def test_gradients_are_those_of_the_separate_operations(opencl_backend):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 2, 9, 8)).astype(np.float32)
    w, v = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 2, 3, 3), (4 * 4 * 4, 3)))

    def gradients(look):
        with rm.use_backend(opencl_backend):
            parameters = [rm.Variable(entry, requires_grad=True) for entry in (x, w, v)]
            model = rm.Sequential([])
            with model.train():
                y = rm.conv2d(parameters[0], parameters[1], padding=1)
                if look:
                    y.as_ndarray()
                y = rm.relu(y)
                if look:
                    y.as_ndarray()
                y = rm.max_pool2d(y, filter=2, stride=2)
                loss = rm.softmax_cross_entropy(rm.dense(rm.flatten(y), parameters[2]), np.eye(3)[:3])
            grads = loss.grad()
            return [float(loss), *(grads.get(parameter).as_ndarray() for parameter in parameters)]

    for one, other in zip(gradients(look=False), gradients(look=True), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("images", "is_small"), [(1, False), (2, True), (3, True), (4, False), (5, False), (6, True)])
def test_some_numbers_of_images_are_cut_into_small_strips(opencl_backend, images, is_small):
    """In every direction, also where the result is computed later than it is asked for; and in what bundles record."""
    device = opencl_backend.device
    attributes = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    shapes = (images, 2, 9, 9), (3, 2, 3, 3), (images, 3, 9, 9)
    x, w, dy = (np.ones(shape, np.float32) for shape in shapes)
    case = conv2d.Case((x, w, None), attributes, dy)
    subject = backends.BackendSubject(opencl_backend.name, "winograd_2x2")
    for run in (
        lambda: judge.check_backward("conv2d", case, subject),
        lambda: bundle.capture_case(device, "conv2d", "backward", "winograd_2x2", case),
    ):
        with contextlib.ExitStack() as patches:
            plans = [
                patches.enter_context(mock.patch.object(module, "_plan", wraps=module._plan))
                for module in (winograd, winograd_weights)
            ]
            run()
        asked = [call.args[3] for plan in plans for call in plan.call_args_list]
        assert all(plan.called for plan in plans) and set(asked) == {is_small or device.is_simulator}


def test_names_of_variants():
    assert composition.split(None) == (None, ())
    assert composition.split("cpu") == ("cpu", ())
    assert composition.split("winograd_4x4+relu+max_pool2d") == ("winograd_4x4", ("relu", "max_pool2d"))


@pytest.mark.parametrize("axes", [1, 3])
def test_windows_over_two_axes_follow_nothing_with_others(axes):
    ones = (1,) * axes
    x, w = np.ones((1, 1, *(4,) * axes), np.float32), np.ones((1, 1, *ones), np.float32)
    attributes = {"stride": ones, "padding": (0, 0) * axes, "dilation": ones, "groups": 1}
    case = Case((x, w, None), attributes, np.ones(x.shape, np.float32))
    assert composition.followed(case, ("relu",)).dy.shape == x.shape
    with pytest.raises(composition.NoSuchResult):
        composition.followed(case, ("relu", "max_pool2d"))


def can_be_halved(case):
    return case.dy.ndim == 4 and min(case.dy.shape[2:]) > 1


@pytest.mark.parametrize("followers", [("relu",), ("relu", "max_pool2d")])
@given(data=st.data())
def test_the_reference_conforms_with_what_follows(followers, data):
    case = data.draw(conv2d.cases("tiny", integers=True).filter(can_be_halved))
    case = composition.followed(case, followers)
    assert judge.check_forward("conv2d", case, REFERENCE, followers=followers, to_the_bit=True) == 0
    assert judge.check_backward("conv2d", case, REFERENCE, followers=followers, to_the_bit=True) == 0


@pytest.mark.parametrize("followers", [("relu",), ("relu", "max_pool2d")])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_roundings_may_send_a_gradient_elsewhere(followers, data, seed):
    """What is computed from sums that are off by half of their bound stays within."""
    cases = conv2d.cases("tiny").filter(can_be_halved)
    case = composition.followed(data.draw(cases), followers)
    rng, sums = np.random.default_rng(seed), REFERENCE.operation("conv2d")

    class Off:
        backward = staticmethod(sums.backward)

        @staticmethod
        def forward(*inputs, **attributes):
            y, saved = sums.forward(*inputs, **attributes)
            with np.errstate(all="ignore"), subnormals(are_kept=REFERENCE.denormals):
                bound = conv2d.forward_bound(inputs, attributes)
            if not np.isfinite(bound).all():
                return y, saved
            return (y + rng.choice([-0.5, 0.5], y.shape) * np.maximum(bound, 0)).astype(np.float32), saved

    with contextlib.suppress(composition.NoSuchResult):
        judge.check_backward("conv2d", case, REFERENCE, implementation=Off, followers=followers)


@pytest.mark.parametrize("followers", [("relu",), ("relu", "max_pool2d")])
def test_a_gradient_that_goes_elsewhere_without_need_is_a_failure(followers):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 2, 6, 6), (3, 2, 3, 3)))
    attributes = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    case = composition.followed(conv2d.Case((x, w, None), attributes, np.ones((2, 3, 6, 6), np.float32)), followers)
    sums = REFERENCE.operation("conv2d")
    negated = types.SimpleNamespace(
        forward=lambda *a, **b: (-sums.forward(*a, **b)[0], sums.forward(*a, **b)[1]), backward=sums.backward
    )
    assert judge.check_backward("conv2d", case, REFERENCE, followers=followers) <= 1
    with pytest.raises(comparison.ConformanceFailure, match=r"conv2d.backward\+relu"):
        judge.check_backward("conv2d", case, REFERENCE, implementation=negated, followers=followers)


def test_a_rectifier_that_is_forgotten_is_a_failure():
    case = conv2d_case()
    forgetful = types.SimpleNamespace(
        operation=lambda stem: (
            find("reference").operation(stem)
            if stem == "conv2d"
            else types.SimpleNamespace(forward=lambda x: (x, x), backward=None)
        ),
        array=np.array,
        to_host=np.array,
        name="forgetful",
        denormals=True,
    )
    with pytest.raises(comparison.ConformanceFailure, match=r"conv2d.forward\+relu"):
        judge.check_forward("conv2d", case, forgetful, followers=("relu",))


def conv2d_case():
    x = np.array([1, -1, 2, -2], np.float32).reshape(1, 1, 2, 2)
    attributes = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    return composition.followed(conv2d.Case((x, -np.ones((1, 1, 1, 1), np.float32), None), attributes, x), ("relu",))


def test_a_mask_that_is_forgotten_is_a_failure():
    """Of the gradient of what a rectifier gave, where it was 0."""

    class Unmasked:
        forward = staticmethod(REFERENCE.operation("relu").forward)
        backward = staticmethod(lambda dy, saved, needs: (dy,))

    forgetful = types.SimpleNamespace(
        operation=lambda stem: REFERENCE.operation(stem) if stem == "conv2d" else Unmasked,
        array=np.array,
        to_host=np.array,
        name="forgetful",
        denormals=True,
        algorithms=lambda *arguments: {},
    )
    with pytest.raises(comparison.ConformanceFailure, match=r"conv2d.backward\+relu"):
        judge.check_backward("conv2d", conv2d_case(), forgetful, followers=("relu",), to_the_bit=True)


def test_gradients_are_judged_of_what_has_no_inputs_of_its_own():
    assert composition.has_gradient(()) and composition.has_gradient(("relu", "max_pool2d"))
    assert not composition.has_gradient(FOLDED)


@pytest.mark.parametrize("follower", ["relu", "clip"])
@pytest.mark.parametrize("fault", ["forgotten", "mask of a neighbour", "other results"])
def test_faults_of_what_follows_batch_normalisation_are_failures(follower, fault):
    """Of the first of its results: what is kept within limits, the mask of its gradient, and the results beside it."""
    rng = np.random.default_rng(0)
    norm = REFERENCE.operation("batch_normalization")
    inputs = rng.standard_normal((4, 3, 6, 6)).astype(np.float32), *of_normalisation(rng, 3)
    dy = np.ones((4, 3, 6, 6), np.float32), *np.ones((2, 3), np.float32)
    case = composition.followed(Case(inputs, NORMALISED | {"training": True}, dy), (follower,))
    assert judge.check_forward("batch_normalization", case, REFERENCE, followers=(follower,)) <= 1
    assert judge.check_backward("batch_normalization", case, REFERENCE, followers=(follower,)) <= 1

    def forward(x, **attributes):
        return REFERENCE.operation(follower).forward(x, **attributes)

    def backward(dy, saved, needs, **attributes):
        (dx,) = REFERENCE.operation(follower).backward(dy, saved, needs, **attributes)
        return (dy if fault == "forgotten" else np.roll(dx, 1, axis=-1) if fault == "mask of a neighbour" else dx,)

    def with_other_results(*arrays, **attributes):
        (y, mean, variance), saved = norm.forward(*arrays, **attributes)
        return (y, mean, variance * 1.01 if fault == "other results" else variance), saved

    faulty = types.SimpleNamespace(
        operation=lambda stem: types.SimpleNamespace(forward=forward, backward=backward),
        array=np.array,
        to_host=np.array,
        name="faulty",
        denormals=True,
        algorithms=lambda *arguments: {},
    )
    implementation = types.SimpleNamespace(forward=with_other_results, backward=norm.backward)
    check = judge.check_forward if fault == "other results" else judge.check_backward
    with pytest.raises(comparison.ConformanceFailure, match=rf"\+{follower}"):
        check("batch_normalization", case, faulty, implementation=implementation, followers=(follower,))


def test_a_mask_of_what_may_be_flushed_makes_0_of_an_infinite_gradient():
    """The kernel masks the gradient by an input that it may read as 0, whatever the gradient is."""
    x, one, infinite = np.float32([[1e-40], [2e-40]]), np.ones(1, np.float32), np.float32([-np.inf])
    attributes = {"epsilon": 1e-5, "momentum": 0.9, "training": True}
    case = Case((x, one, one, one, one), attributes, (np.float32([[1], [2]]), one, infinite))
    needs, flushing = (True, *[False] * 4), types.SimpleNamespace(denormals=False, name="", array=np.array)
    expected = judge.expect_backward("batch_normalization", case, flushing, needs=needs, followers=("relu",))
    assert np.isinf(expected.exact[0]).all()
    for computed in (np.zeros((2, 1), np.float32), np.float32([[np.inf], [-np.inf]])):
        assert comparison.verdict(computed, expected.exact[0], expected.bounds[0]).within
    keeping = types.SimpleNamespace(denormals=True, name="", array=np.array)
    (bound,) = judge.expect_backward("batch_normalization", case, keeping, needs=needs, followers=("relu",)).bounds
    assert not comparison.verdict(np.zeros((2, 1), np.float32), expected.exact[0], bound).within
