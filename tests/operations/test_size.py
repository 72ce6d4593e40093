"""How many elements an array has."""

import numpy as np
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import size
from refcnn.onnx import export, open_exported

from .checks import SIZE, check, check_onnxruntime


def test_worked_example(backend):
    with rm.use_backend(backend):
        for x, count in ((np.ones((2, 3)), 6), (1.5, 1), (np.ones((2, 0)), 0), ([True, False], 2)):
            np.testing.assert_array_equal(rm.size(x).as_ndarray(), np.array(count, np.int64), strict=True)


@given(case=size.cases(SIZE))
def test_exact(backend, case):
    check("size", case, backend, to_the_bit=True)


@given(case=size.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("size", case)


class Counting(rm.Model):
    def forward(self, x):
        return x * rm.size(x).astype("float32")


def test_a_file_counts_what_it_is_given(tmp_path):
    with rm.use_backend("reference"):
        export(Counting(), tmp_path / "model.onnx", (2,), examples=2, backends=["reference"])
        found = open_exported(tmp_path / "model.onnx").predict(np.ones((5, 2), np.float32))
    np.testing.assert_array_equal(found, np.full((5, 2), 10))
