"""Layers, models, optimizers and data sets as a notebook shows them, and calls in another library's manner."""

import inspect
import pydoc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.errors import ArgumentError

NAMES = {name: getattr(rm, name) for name in ("Conv2d", "Dense", "Dropout", "MaxPool2d", "AveragePool2d")}
pairs = st.one_of(st.integers(1, 5), st.tuples(st.integers(1, 5), st.integers(1, 5)))
paddings = st.one_of(
    st.integers(0, 3), st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(*[st.integers(0, 3)] * 4)
)
initializers = st.sampled_from([rm.GlorotNormal(), rm.GlorotUniform(), rm.HeNormal()])


def layers():
    groups = st.integers(1, 3)
    convolution = groups.flatmap(
        lambda count: st.builds(
            rm.Conv2d,
            st.integers(1, 5).map(lambda channel: channel * count),
            pairs,
            padding=paddings,
            stride=pairs,
            dilation=pairs,
            groups=st.just(count),
            ignore_bias=st.booleans(),
            initializer=initializers,
        )
    )
    dense = st.builds(rm.Dense, st.integers(1, 9), ignore_bias=st.booleans(), initializer=initializers)
    pools = st.builds(rm.MaxPool2d, st.integers(4, 6), padding=paddings, stride=pairs)
    averages = st.builds(rm.AveragePool2d, st.just((4, 5)), stride=pairs, count_include_padding=st.booleans())
    return st.one_of(convolution, dense, pools, averages, st.builds(rm.Dropout, st.floats(0, 0.875, width=32)))


@given(layers())
def test_a_layer_is_written_as_one_would_write_it(layer):
    again = eval(repr(layer), {**NAMES, **{name: getattr(rm, name) for name in rm.__all__}})
    assert type(again) is type(layer)
    kept = ("attributes", "channel", "filter", "output_size", "ignore_bias", "dropout_ratio", "count_include_padding")
    for name in kept:
        assert getattr(again, name, None) == getattr(layer, name, None)
    assert type(getattr(again, "initializer", None)) is type(getattr(layer, "initializer", None))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (rm.Conv2d(32, 3, padding=1), "Conv2d(32, 3, padding=1)"),
        (rm.Conv2d(8, (3, 5), padding=(1, 2, 1, 2)), "Conv2d(8, (3, 5), padding=(1, 2))"),
        (rm.Dense(10), "Dense(10)"),
        (rm.MaxPool2d(filter=2, stride=2), "MaxPool2d(2, stride=2)"),
        (
            rm.AveragePool3d(4, padding=(1, 2, 3, 1, 2, 3), ceil_mode=True),
            "AveragePool3d(4, padding=(1, 2, 3), ceil_mode=True)",
        ),
        (rm.LpPool1d(2, p=3, padding=(0, 1)), "LpPool1d(2, p=3, padding=(0, 1))"),
        (rm.Relu(), "Relu()"),
        (rm.Sgd(0.5), "Sgd(lr=0.5, momentum=0.4, nesterov=True)"),
        (rm.HeNormal(), "HeNormal()"),
    ],
)
def test_short_forms(entry, text):
    assert repr(entry) == text


def test_a_model_shows_its_layers_and_counts():
    model = rm.Sequential([rm.Conv2d(4, 3, input_size=2), rm.Relu(), rm.Dense(5)])
    lines = repr(model).splitlines()
    assert "0: Conv2d(4, 3)" in lines[2] and lines[2].endswith("76")
    assert lines[4].endswith("not made yet") and lines[-1].split() == ["total", "76"]


def test_layers_of_ones_own_are_shown_by_what_they_keep():
    class Scale(rm.Layer):
        def __init__(self, factor, offset=0):
            super().__init__()
            self.factor = factor
            self._shift = offset

    class Opaque(rm.Layer):
        def __init__(self, factor):
            super().__init__()
            self._secret = factor

    assert repr(Scale(3)) == "Scale(3)" and repr(Opaque(3)) == "Opaque(...)"


def test_gradients_and_data_sets_are_told_in_few_words():
    x = rm.data.digits()
    assert "1,797 images 1x8x8" in repr(x) and len(repr(x)) < 200
    model = rm.Sequential([rm.Dense(3)])
    with rm.use_backend("reference"), model.train():
        loss = rm.softmax_cross_entropy(model(np.ones((2, 4))), np.eye(3)[:2])
    assert "(4, 3)" in repr(loss.grad())


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: rm.Conv2d(1, 32, 3), "Conv2d(32, 3)"),
        (lambda: rm.Conv2d(1, 32, 3, 2, 1), "Conv2d(32, 3, stride=2, padding=1)"),
        (lambda: rm.Conv2d(32, 3, 1), "padding"),
        (lambda: rm.Conv2d(filters=32), "channel=32"),
        (lambda: rm.Conv2d(32, kernel_size=(3, 5)), "filter=(3, 5)"),
        (lambda: rm.Conv2d(32, strides=2), "stride=2"),
        (lambda: rm.Dense(units=10), "output_size=10"),
        (lambda: rm.Dense(10, use_bias=False), "ignore_bias=True"),
        (lambda: rm.Dropout(p=0.5), "dropout_ratio=0.5"),
        (lambda: rm.Adam(learning_rate=0.01), "lr=0.01"),
        (lambda: rm.Conv2d(1, 32, kernel_size=3), "Conv2d(32, 3)"),
        (lambda: rm.Conv2d(in_channels=1, out_channels=32, kernel_size=3), "(input_size=1, channel=32, filter=3)"),
        (lambda: rm.Conv2d(32, (3, 3), strides=2, use_bias=True), "Conv2d(32, (3, 3), stride=2, ignore_bias=False)"),
        (lambda: rm.Conv2d(32, 3, input_shape=(28, 28, 1)), "Conv2d(32, 3), since the first input"),
        (lambda: rm.Dense(10, activation="relu"), "Dense(10), since an activation"),
        (lambda: rm.MaxPool2d(2, 2), "stride="),
        (lambda: rm.AveragePool2d(2, count_include_pad=False), "count_include_padding=False"),
        (lambda: rm.Adam(0.01, betas=(0.8, 0.9), eps=1e-7), "Adam(0.01, beta1=0.8, beta2=0.9, epsilon=1e-07)"),
        (lambda: rm.Sequential(rm.Dense(3), rm.Relu()), "Sequential([Dense(3), Relu()])"),
        (lambda: rm.Sequential(rm.Dense(3)), "Sequential([Dense(3)])"),
        (lambda: rm.Sgd(rm.Sequential([]), lr=0.1), "by Sgd(lr=0.1)"),
        (lambda: rm.Adam(rm.Sequential([]).parameters(), 0.1), "by Adam(0.1)"),
        (lambda: rm.Adam([rm.Parameter([1.0])]), "by Adam()"),
        (lambda: rm.Sgd(params={"w": rm.Parameter([1.0])}, momentum=0.9), "by Sgd(momentum=0.9)"),
    ],
)
def test_calls_of_other_libraries_are_refused_with_the_call_that_does_it_here(call, advice):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert advice in str(caught.value)


def test_what_is_wrong_in_any_library_python_says():
    with pytest.raises(TypeError):
        rm.Dense(3, nonsense=1)
    with pytest.raises(TypeError):
        rm.Relu(1)
    with pytest.raises(TypeError):
        rm.Adam(betas=0.9)
    with pytest.raises(ArgumentError, match="finite number"):
        rm.Sgd([0.1])


def test_completion_shows_public_names_alone():
    shown = [name for name in dir(rm) if not name.startswith("__")]
    assert shown == sorted(rm.__all__)
    assert all(getattr(rm, name) is not None for name in shown)


def test_completion_shows_parameters_and_buffers():
    layer = rm.Dense(3, input_size=2)
    layer.buffers["count"] = rm.Buffer(0)
    assert {"w", "b", "items"} <= set(dir(layer.params)) and "count" in dir(layer.buffers)


def test_every_layer_and_function_of_the_cards_is_public():
    for operation in rooms.operations():
        card = rooms.card(operation)
        for name, entry in vars(card).items():
            is_own = getattr(entry, "__module__", None) == getattr(card, "__name__", None)
            if is_own and not name.startswith("_") and (inspect.isclass(entry) or name == operation):
                assert name in rm.__all__, f"{name} of {operation}"


def test_help_lists_the_layers_and_functions():
    text = pydoc.render_doc(rm, renderer=pydoc.plaintext)
    first_page = "\n".join(text.splitlines()[:40])
    for name in ("Conv2d", "MaxPool2d", "conv2d", "softmax_cross_entropy", "Adam"):
        assert name in first_page


def public_callables():
    for name in rm.__all__:
        entry = getattr(rm, name)
        if inspect.isfunction(entry):
            yield name, entry
        elif inspect.isclass(entry):
            for key, method in vars(entry).items():
                function = method.fget if isinstance(method, property) else getattr(method, "__func__", method)
                if inspect.isfunction(function) and (not key.startswith("_") or key in ("__init__", "__call__")):
                    yield f"{name}.{key}", function
    for module in (rm.onnx, rm.data, rm.models):
        for name in getattr(module, "__all__", ("export", "load")):
            if inspect.isfunction(getattr(module, name)):
                yield f"{module.__name__}.{name}", getattr(module, name)


@pytest.mark.parametrize(("name", "function"), [pytest.param(*entry, id=entry[0]) for entry in public_callables()])
def test_public_functions_are_typed(name, function):
    signature = inspect.signature(function)
    untyped = [
        parameter.name
        for number, parameter in enumerate(signature.parameters.values())
        if parameter.annotation is parameter.empty and not (number == 0 and parameter.name in ("self", "cls"))
    ]
    assert not untyped and signature.return_annotation is not signature.empty, f"{name}: {untyped}"


def test_signatures_are_as_short_as_they_are_written():
    for name in rm.__all__:
        if callable(getattr(rm, name)):
            text = str(inspect.signature(getattr(rm, name)))
            assert "numpy._typing" not in text, f"help({name}) writes out NumPy's unions of types"
