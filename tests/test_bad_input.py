"""Whatever a public function or class is given, it computes or refuses with an error of refcnn's own."""

import inspect
import warnings

import numpy as np
import pytest

import refcnn as rm
from refcnn import errors

IMAGES = np.linspace(-1, 1, 2 * 4 * 4 * 4, dtype=np.float32).reshape(2, 4, 4, 4)
ROWS = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
CHANNELS = np.ones(4, np.float32)
TRUTHS = np.array([True, False, True])
INDICES = np.array([0, 1])


def _same(names, **arguments):
    return dict.fromkeys(names.split(), arguments)


#: A call of each function that computes, from which one argument at a time is then changed. What has one, two and three
#: spatial axes stands for all three in two; training is tested where it lives.
CALLS = {
    **_same("absolute ceil erf exp floor log negative reciprocal round sign sqrt relu relu6 mish sigmoid", x=ROWS),
    **_same("celu clip elu gelu hard_sigmoid hard_swish leaky_relu selu softplus softsign swish tanh", x=ROWS),
    **_same("arg_max arg_min reduce_l1 reduce_l2 reduce_log_sum reduce_log_sum_exp reduce_max reduce_mean", x=ROWS),
    **_same("reduce_min reduce_prod reduce_sum reduce_sum_square flatten size softmax log_softmax", x=ROWS),
    **_same("average_pool2d lp_pool2d max_pool2d", x=IMAGES, filter=2),
    **_same("global_average_pool2d global_max_pool2d dropout spatial_dropout", x=IMAGES),
    **_same("local_response_normalization squeeze transpose", x=IMAGES),
    **_same("add divide maximum minimum multiply power subtract", a=ROWS, b=ROWS[0]),
    **_same("equal greater greater_or_equal less less_or_equal not_equal", a=ROWS, b=ROWS[0]),
    **_same("logical_and logical_or logical_xor", a=TRUTHS, b=TRUTHS),
    **_same("mean_squared_error sigmoid_cross_entropy smoothed_l1", output=ROWS, target=ROWS),
    **_same("depth_to_space space_to_depth", x=IMAGES, block=2),
    "batch_normalization": {"x": IMAGES, **dict.fromkeys(("scale", "bias", "mean", "variance"), CHANNELS)},
    "cast": {"x": ROWS, "dtype": "int64"},
    "cast_like": {"x": ROWS, "like": INDICES},
    "concat": {"xs": [ROWS, ROWS]},
    "conv2d": {"x": IMAGES, "w": IMAGES[:, :, :3, :3]},
    "conv_transpose2d": {"x": IMAGES, "w": IMAGES[:, :2].repeat(2, axis=0)},
    "dense": {"x": ROWS, "w": ROWS.T},
    "expand": {"x": ROWS, "shape": (2, 3)},
    "gather": {"x": ROWS, "indices": INDICES},
    "gather_elements": {"x": ROWS, "indices": INDICES.reshape(1, 2)},
    "gemm": {"a": ROWS, "b": ROWS.T},
    "group_normalization": {"x": IMAGES, "scale": CHANNELS, "bias": CHANNELS, "groups": 2},
    "instance_normalization": {"x": IMAGES, "scale": CHANNELS, "bias": CHANNELS},
    "layer_normalization": {"x": IMAGES, "scale": CHANNELS, "bias": CHANNELS},
    "logical_not": {"x": TRUTHS},
    "matmul": {"a": ROWS, "b": ROWS.T},
    "max_unpool2d": {"x": IMAGES, "indices": np.arange(IMAGES.size).reshape(IMAGES.shape), "filter": 1},
    "one_hot": {"indices": INDICES, "depth": 3},
    "pad": {"x": ROWS, "pads": (1, 0, 0, 1)},
    "prelu": {"x": IMAGES, "slope": np.ones((4, 1, 1), np.float32)},
    "reshape": {"x": ROWS, "shape": (3, 2)},
    "resize": {"x": IMAGES, "scales": (1, 1, 2, 2)},
    "rms_normalization": {"x": IMAGES, "scale": CHANNELS},
    "slice": {"x": ROWS, "starts": (0,), "stops": (2,)},
    "softmax_cross_entropy": {"output": ROWS, "target": INDICES},
    "split": {"x": ROWS, "parts": 2},
    "tile": {"x": ROWS, "repeats": 2},
    "unsqueeze": {"x": ROWS, "axis": 0},
    "where": {"condition": TRUTHS, "a": ROWS, "b": ROWS},
    "Conv2d": {},
    "ConvTranspose2d": {"channel": 2},
    "Dense": {"output_size": 2},
    "GroupNormalization": {"groups": 2},
    "Sequential": {"layers": [rm.Relu()]},
    "Upsample2d": {"scale": 2},
    **_same("Buffer Parameter Variable", value=ROWS),
    **_same("AveragePool2d BatchNormalization BatchNormalize Celu Clip Deconv2d Dropout Elu Gelu HardSigmoid"),
    **_same("InstanceNormalization LayerNormalization LeakyRelu LocalResponseNormalization LogSoftmax Lrn LpPool2d"),
    **_same("MaxPool2d MaxUnpool2d PRelu RMSNormalization Softmax SpatialDropout Swish"),
    **_same("Adadelta Adagrad Adam AdamW Adamax RmsProp Sgd"),
}
#: What takes any number of arrays, or nothing, or stands elsewhere.
OTHERS = {
    *("mean_of", "sum_of", "Flatten", "GlobalAveragePool2d", "GlobalMaxPool2d", "HardSwish", "Mish", "Relu", "Relu6"),
    *("Selu", "Sigmoid", "Softplus", "Softsign", "Tanh", "GlorotNormal", "GlorotUniform", "HeNormal"),
    *("Callback", "Grads", "Layer", "Model", "Optimizer", "TrainingStep"),
    *("evaluate", "find_learning_rate", "fit", "predict", "set_opencl_active", "set_seed", "use_backend"),
}
#: What no argument is. Of an attribute a function says so; of an array NumPy makes one of some.
NONSENSE = ("nonsense", {"key": 1}, object(), 1j, np.array(["a"]))
#: What fits some arguments.
ODD = (None, True, 0, -1, 2.5, float("nan"), 2**70, 10**400, (), [], (1, 2), np.array([1, 2]), np.zeros(()), range(2))
ODD += (np.zeros((0, 3)), np.zeros((2, 0, 4, 4)), np.zeros((1, 1, 1, 1, 1)), [[1, 2], [3]], "same")
#: Attributes that have no part in the call above, and are not looked at.
UNUSED = {("resize", name) for name in ("cubic_coeff_a", "roi", "extrapolation_value")}


def test_every_public_function_and_class_is_looked_at():
    own = {name for name in rm.__all__ if callable(getattr(rm, name)) and "1d" not in name and "3d" not in name}
    assert own - OTHERS == set(CALLS)


def _arguments():
    for name, arguments in CALLS.items():
        for parameter in inspect.signature(getattr(rm, name)).parameters.values():
            if parameter.kind is not parameter.VAR_POSITIONAL:
                yield pytest.param(name, arguments, parameter.name, id=f"{name}-{parameter.name}")


@pytest.mark.parametrize(("name", "arguments", "parameter"), list(_arguments()))
def test_a_bad_argument_is_refused_with_its_name_or_understood(name, arguments, parameter):
    rm.use_backend("reference")
    function = getattr(rm, name)
    for value in NONSENSE:
        try:
            function(**{**arguments, parameter: value})
        except errors.RefcnnError as error:
            assert len(str(error)) > 30
        else:
            assert (name, parameter) in UNUSED, f"{value!r} was taken"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's of infinities
        for value in ODD:
            try:
                function(**{**arguments, parameter: value})
            except errors.RefcnnError as error:
                assert len(str(error)) > 30


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: rm.reduce_sum(ROWS, keepdims="no"), "keepdims"),
        (lambda: rm.max_pool2d(IMAGES, 2, ceil_mode="no"), "ceil_mode"),
        (lambda: rm.gemm(ROWS, ROWS, transpose_b="no"), "transpose_b"),
        (lambda: rm.batch_normalization(IMAGES, *[CHANNELS] * 4, training=None), "training"),
        (lambda: rm.Sgd(nesterov="False"), "nesterov"),
        (lambda: rm.Conv2d(2, 3, ignore_bias="no"), "ignore_bias"),
        (lambda: rm.arg_max(ROWS, 2), "from -2 to 1"),
        (lambda: rm.Conv2d(2, 3, initializer=rm.GlorotNormal), "initializer"),
        (lambda: rm.Conv2d(2, 3, input_size=()), "input_size"),
        (lambda: rm.conv_transpose2d(IMAGES, IMAGES[:, :2].repeat(2, axis=0), output_padding=None), "output_padding"),
        (lambda: rm.max_pool2d(IMAGES, 2, stride=2**31), "at most 2147483647"),
        (lambda: rm.pad(ROWS, (1, 1, 1, 1), constant_value=10**400), "constant_value"),
        (lambda: rm.sum_of(), "no array"),
        (lambda: rm.mean_of(), "no array"),
        (lambda: rm.mean_of(rm.Variable([1]), rm.Variable([2])), "no integer"),
        (lambda: rm.pad(ROWS, ((1, 1), (1, 1))), "one sequence"),
        (lambda: rm.Sequential(None), "list of layers"),
        (lambda: rm.LogSoftmax("last"), "axis"),
        (lambda: rm.softmax_cross_entropy(ROWS, INDICES, reduce_sum="no"), "reduce_sum"),
    ],
)
def test_a_message_names_what_was_wrong(call, named):
    with pytest.raises(errors.ArgumentError, match=named):
        call()


def test_flags_are_true_and_false_of_any_kind():
    assert rm.reduce_sum(ROWS, 1, keepdims=np.bool_(True)).shape == (2, 1)
    assert rm.reduce_sum(ROWS, 1, keepdims=1).shape == (2, 1)
    assert rm.reduce_sum(ROWS, 1, keepdims=0).shape == (2,)


def test_one_slice_needs_no_sequence():
    np.testing.assert_array_equal(rm.slice(ROWS, 1, None).as_ndarray(), ROWS[1:])
    np.testing.assert_array_equal(rm.slice(ROWS, None, None, -1).as_ndarray(), ROWS[::-1])


def test_sequences_of_numpy_and_ranges_are_sequences():
    assert rm.reduce_sum(IMAGES, np.array([1, 2])).shape == (2, 4)
    assert rm.reduce_sum(IMAGES, range(2, 4)).shape == (2, 4)
    assert rm.max_pool2d(IMAGES, np.array([2, 1]), stride=np.array([2, 1])).shape == (2, 4, 2, 4)


@pytest.mark.parametrize("value", ["nonsense", 5, object(), [5]])
@pytest.mark.parametrize("name", ["optimizer", "loss", "schedule", "callbacks", "freeze", "augment"])
def test_training_refuses_what_is_none_of_its_arguments(name, value):
    rm.use_backend("reference")
    model = rm.Sequential([rm.Flatten(), rm.Dense(2)])
    with pytest.raises(errors.RefcnnError, match=name.rstrip("s")):
        rm.fit(model, (IMAGES, INDICES), epochs=1, verbose=False, **{name: value})


def test_training_refuses_classes_in_the_place_of_their_objects():
    model = rm.Sequential([rm.Flatten(), rm.Dense(2)])
    classes = {
        "optimizer": rm.Adam,
        "loss": rm.Dense,
        "schedule": rm.schedules.OneCycle,
        "callbacks": rm.callbacks.EarlyStopping,
    }
    for name, value in classes.items():
        with pytest.raises(errors.ArgumentError, match=name.rstrip("s")):
            rm.fit(model, (IMAGES, INDICES), epochs=1, verbose=False, **{name: value})
    with pytest.raises(errors.ArgumentError, match="WarmUp: schedule"):
        rm.schedules.WarmUp(rm.schedules.Cosine)


def test_one_callback_needs_no_list():
    model = rm.Sequential([rm.Flatten(), rm.Dense(2)])
    history = rm.fit(
        model,
        (IMAGES, INDICES),
        validation=(IMAGES, INDICES),
        epochs=3,
        verbose=False,
        callbacks=rm.callbacks.EarlyStopping(patience=9),
    )
    assert len(history) == 3
