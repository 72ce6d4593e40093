"""How matrix products are cut for GPUs: whatever the blocks and the number of chunks, the results are right."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.conformance.operations import conv2d, conv_transpose2d, dense, matmul
from refcnn.opencl import variants
from refcnn.opencl.operations import dense as on_device
from refcnn.opencl.shared import group_tiling, matrix_product
from refcnn.opencl.shared.fusion import Limits
from refcnn.opencl.shared.group_tiling import TILINGS, GroupTiling

from .operations.checks import SIZE, check
from .test_oclgrind import LIBRARY, passes_inside, run  # noqa: F401

CASES = {
    "conv2d": conv2d.cases,
    "conv_transpose2d": conv_transpose2d.cases,
    "dense": dense.cases,
    "matmul": matmul.cases,
}
#: With which small cases have several blocks, tiles and sums of tiles.
SMALL = GroupTiling(2, 2, 4, 4, 4, sum_terms=8)
sizes = st.integers(1, 5000)


def _name(tiling):
    return "x".join(map(str, tiling.block)) + (", one buffer" if tiling.buffers == 1 else "")


def local_bytes(tiling):
    return 4 * tiling.buffers * tiling.terms * (sum(tiling.block) + 8)


@pytest.mark.parametrize("tiling", [*TILINGS, *group_tiling._TILINGS_OF_SIMULATORS], ids=_name)
def test_every_device_can_run_them(tiling):
    assert tiling.items <= 256
    assert local_bytes(tiling) <= 32 << 10
    # What the kernels assume.
    assert tiling.rows % 4 == tiling.columns % 4 == tiling.items % tiling.terms == tiling.sum_terms % tiling.terms == 0
    for lines in tiling.block:
        assert lines % tiling.items == 0 or tiling.items % lines == 0
        assert lines * tiling.terms % tiling.items == 0


@given(units=st.integers(1, 300), rows=sizes, columns=sizes, terms=st.integers(0, 200_000), products=st.integers(1, 9))
def test_no_chunk_is_empty(units, rows, columns, terms, products):
    tiling, chunks = group_tiling._cut(units, rows, columns, terms, products)
    assert tiling == group_tiling._tiling(units, rows, columns, -(-terms // chunks), products * chunks)
    if chunks > 1:
        per_chunk = -(-terms // chunks)
        assert (chunks - 1) * per_chunk < terms
        assert per_chunk >= group_tiling._LEAST_TERMS // 2
        assert chunks * rows * columns * products <= group_tiling._MOST_ELEMENTS


def test_all_compute_units_have_work():
    """The products of some known layers on a GPU with 132 compute units."""
    for rows, columns, terms in ((64, 27, 224 * 224), (512, 28 * 28, 4608), (64, 128, 12544), (512, 512, 512)):
        tiling, chunks = group_tiling._cut(132, rows, columns, terms, 1)
        across, down = tiling.groups(rows, columns)
        assert across * down * chunks >= 100
    assert group_tiling._cut(132, 8192, 8192, 8192, 1) == (TILINGS[0], 1)
    _, chunks = group_tiling._cut(2, 512, 512, 512, 1)
    assert chunks == 1


@pytest.mark.parametrize("tiling", [*TILINGS, SMALL, dataclasses.replace(SMALL, buffers=1)], ids=_name)
@pytest.mark.parametrize("operation", sorted(CASES))
@settings(max_examples=10)
@given(data=st.data(), integers=st.booleans(), chunks=st.integers(1, 5))
def test_every_cut_is_right(opencl_backend, operation, tiling, data, integers, chunks):
    case = data.draw(CASES[operation](SIZE, integers=integers))

    def cut(device, rows, columns, terms, products=1):
        return tiling, max(1, min(chunks, terms))

    def only(*sizes):
        return tiling

    with variants.use_variant("gpu"), mock.patch.multiple(group_tiling, cut=cut, tiling=only):
        check(operation, case, opencl_backend, to_the_bit=integers)


@settings(max_examples=10)
@given(rows=st.integers(1, 300), columns=st.integers(1, 300), terms=st.integers(1, 2000), units=st.integers(1, 200))
def test_sums_are_exact_on_integers_on_a_gpu_of_any_size(opencl_backend, rows, columns, terms, units):
    """More blocks than one, and tiles that are more than one sum."""
    rng = np.random.default_rng(terms)
    x, w, dy = (
        rng.integers(-9, 10, shape).astype(np.float32) for shape in ((rows, terms), (terms, columns), (rows, columns))
    )
    with variants.use_variant("gpu"), mock.patch.object(opencl_backend.device, "_compute_units", units):
        y, saved = on_device.forward(*map(opencl_backend.array, (x, w)), None)
        dx, dw, _ = on_device.backward(opencl_backend.array(dy), saved, (True, True, False))
        results = [opencl_backend.to_host(array) for array in (y, dx, dw)]
    for result, exact in zip(results, (x @ w.astype(np.float64), dy @ w.T.astype(np.float64), x.T @ dy), strict=True):
        np.testing.assert_array_equal(result, exact)


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@given(chunks=st.integers(1, 70), rows=st.integers(1, 9), columns=st.integers(1, 40), with_bias=st.booleans())
def test_chunks_are_added(opencl_backend, variant, chunks, rows, columns, with_bias):
    rng = np.random.default_rng(chunks)
    partial, bias = (rng.integers(-9, 10, shape).astype(np.float32) for shape in ((chunks, rows, columns), (columns,)))
    with variants.use_variant(variant):
        total = matrix_product.sum_chunks(
            opencl_backend.array(partial), opencl_backend.array(bias) if with_bias else None, Limits(-20.0, 20.0)
        )
        total = opencl_backend.to_host(total)
    exact = partial.sum(axis=0) + (bias if with_bias else 0)
    np.testing.assert_array_equal(total, np.clip(exact, -20, 20))


@pytest.mark.skipif(LIBRARY is None, reason="Oclgrind is not installed (Debian's package: oclgrind)")
def test_inside_oclgrind(run):  # noqa: F811
    # All operations have the same kernels.
    passes_inside(run, __file__, "(every_cut and 8x8 and (conv2d or dense)) or (chunks_are_added and gpu)")
