"""ONNX's own cases of single operators, read from their graphs."""

import functools
import glob
import importlib.metadata
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest

from refcnn import use_backend
from refcnn.onnx import load
from refcnn.onnx.reading import readers

#: The version whose cases the lists name.
VERSION = "1.23.2"
HERE = Path(__file__).parent
IN_SCOPE = [line.split()[0] for line in (HERE / "node_cases_in_scope.txt").read_text().splitlines()]
OUT_OF_SCOPE = dict(line.split("\t") for line in (HERE / "node_cases_out_of_scope.txt").read_text().splitlines())

needs_version = pytest.mark.skipif(
    importlib.metadata.version("onnx") != VERSION, reason=f"the lists are of the cases of onnx {VERSION}"
)


@functools.cache
def cases():
    """Return ONNX's cases by name."""
    from onnx.backend.test.loader import load_model_tests

    # They are computed anew when they are loaded, some by divisions by zero.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in load_model_tests(kind="node")}


def model_of(case):
    """Return the model of a case, which is made by a program or lies in a folder."""
    return case.model if case.model is not None else onnx.load(Path(case.model_dir) / "model.onnx")


def data_of(case):
    """Yield the inputs and outputs of a case, lists of ndarrays."""
    if case.data_sets is not None:
        for inputs, outputs in case.data_sets:
            yield [as_array(entry) for entry in inputs], [as_array(entry) for entry in outputs]
        return
    for folder in sorted(glob.glob(f"{case.model_dir}/test_data_set_*")):
        yield tensors_of(folder)


def tensors_of(folder):
    """Return the inputs and outputs that lie in a folder."""
    return tuple(
        [onnx.numpy_helper.to_array(onnx.load_tensor(path)) for path in _in_order(folder, kind)]
        for kind in ("input", "output")
    )


def _in_order(folder, kind):
    return sorted(glob.glob(f"{folder}/{kind}_*.pb"), key=lambda path: int(path.rpartition("_")[2][:-3]))


def as_array(entry):
    """Return a tensor as an ndarray."""
    return onnx.numpy_helper.to_array(entry) if isinstance(entry, onnx.TensorProto) else np.asarray(entry)


@needs_version
@pytest.mark.parametrize("name", IN_SCOPE)
def test_case(name, page_backend):
    case = cases()[name]
    with use_backend(page_backend):
        model = load(model_of(case))
        for inputs, expected in data_of(case):
            results = model.run(inputs)
            assert [result.dtype for result in results] == [entry.dtype for entry in expected]
            for result, entry in zip(results, expected, strict=True):
                assert result.shape == entry.shape
                # ONNX's own tolerances.
                np.testing.assert_allclose(result, entry, rtol=1e-3, atol=1e-7)


@needs_version
def test_no_case_of_an_operator_that_is_read_is_left_out():
    named = {*IN_SCOPE, *OUT_OF_SCOPE}
    own = [name for name in cases() if operator(name) is not None and readers.reader(operator(name)) is not None]
    assert [name for name in own if name not in named] == []
    assert len(named) == len(IN_SCOPE) + len(OUT_OF_SCOPE) and named <= cases().keys()


@needs_version
def test_what_makes_more_than_it_takes_says_how_much():
    """So that a file cannot ask for more than there is: see tests/onnx/test_bad_graphs.py."""
    silent = set()
    for name in IN_SCOPE:
        op_type = operator(name)
        reader = op_type and readers.reader(op_type)
        if reader and not reader.is_counted and not reader.takes_shapes and "expanded" not in name:
            for inputs, expected in data_of(cases()[name]):
                makes_more = max(entry.size for entry in expected) > sum(entry.size for entry in inputs)
                silent |= {op_type} if makes_more else set()
    assert not silent


def operator(name):
    """Return the operator that a case is of, of one whose function is expanded that of the case without."""
    case = cases().get(name.partition("_expanded")[0])
    nodes = model_of(case).graph.node if case is not None else ()
    return nodes[0].op_type if len(nodes) == 1 and nodes[0].domain in ("", "ai.onnx") else None


#: Those of whose tensors some are float64, which no backend has.
OF_FLOAT64 = {
    "test_operator_add_broadcast",
    "test_operator_add_size1_broadcast",
    "test_operator_add_size1_right_broadcast",
    "test_operator_add_size1_singleton_broadcast",
    "test_operator_addconstant",
}
#: What PyTorch's exporters wrote long ago.
FOLDERS = [
    folder
    for kind in ("pytorch-converted", "pytorch-operator")
    for folder in sorted((Path(onnx.__file__).parent / "backend" / "test" / "data" / kind).iterdir())
    if folder.name not in OF_FLOAT64
]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_case_of_pytorch(folder, page_backend):
    with use_backend(page_backend):
        model = load(folder / "model.onnx")
        for data in sorted(folder.glob("test_data_set_*")):
            inputs, expected = tensors_of(data)
            for result, entry in zip(model.run(inputs), expected, strict=True):
                assert result.dtype == entry.dtype
                assert result.shape == entry.shape
                np.testing.assert_allclose(result, entry, rtol=1e-3, atol=1e-7)
