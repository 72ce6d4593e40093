"""Planted faults end to end; test_mutate_kernels.py runs this in a process that has not used OpenCL before."""

from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def tools_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


@pytest.fixture
def bench(tmp_path):
    """Run sources of kernel files on the best device, without Oclgrind."""
    import mutate_kernels

    bench = mutate_kernels.Bench(tmp_path, ["opencl"], [0], mutate_kernels.Cases(examples=4, seed=0), limit=60)
    bench.library = None
    found = mutate_kernels.in_process(bench.environment, "opencl", [], {}, 60)
    if found.verdict == "could not run":
        pytest.skip(f"no OpenCL device was found: {found.how}")
    return bench


def test_planted_faults(bench):
    from mutate_kernels import KERNELS

    source = (KERNELS / "relu.cl").read_text()
    assert bench.run("relu.cl", source.replace("x[i] <= 0.0f", "0.0f >= x[i]")).verdict == "survived"
    killed = bench.run("relu.cl", source.replace("x[i] <= 0.0f", "x[i] <= 1.0f"))
    assert (killed.verdict, killed.how[:6]) == ("killed", "wrong:")
    assert bench.run("relu.cl", source.replace("x[i]", "z[i]")).verdict == "did not build"
    # All the while it computes, on every core.
    bench.limit, patience = 2, bench.limit
    hung = bench.run("relu.cl", source.replace("i++", "i += 0"))
    assert (hung.verdict, hung.how[:5]) == ("killed", "hung:")
    bench.limit = patience
    assert bench.run("relu.cl", source).verdict == "survived"
    assert (bench.kernels / "relu.cl").read_text() == source == (KERNELS / "relu.cl").read_text()


def test_a_fault_without_a_trace_in_the_results_is_seen_by_oclgrind(bench):
    import mutate_kernels

    bench.library = mutate_kernels.oclgrind.library()
    if bench.library is None:
        pytest.skip("Oclgrind is not installed (Debian's package: oclgrind)")
    source = (mutate_kernels.KERNELS / "relu.cl").read_text()
    bench.devices = []
    seen = bench.run("relu.cl", source.replace("y[i] = ", "y[i] = x[i + 1] == 0.1f ? 7.0f : "))
    assert (seen.verdict, seen.where, seen.how[:9]) == ("killed", "oclgrind", "reported:")
    assert bench.run("relu.cl", source).verdict == "survived"
