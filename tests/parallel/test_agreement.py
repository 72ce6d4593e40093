"""What several processes find is what one finds: gradients, what training learns, and metrics."""

from pathlib import Path

import pytest

from refcnn.opencl.runtime import finding

PROGRAM = Path(__file__).with_name("agreement.py")


@pytest.fixture
def seed(request):
    """By which the ranks draw their cases: that of this run of the tests, which its header names."""
    return request.config.option.hypothesis_seed


@pytest.mark.parametrize("size", [1, 2, 3])
def test_several_processes_find_what_one_does(mpi, seed, size):
    """Gradients on devices within their proved bound, training in float64 to its rounding; uneven cuts among them."""
    devices = ["reference"] + [finding.best().name] * bool(finding.usable())
    checks = [("gradients", device, 12, seed) for device in devices]
    checks += [(name, device, 5, seed) for device in devices for name in ("statistics", "synchronised")]
    status, out, err = mpi(
        size, PROGRAM, *(part for check in checks for part in check), "training", "reference:float64", 25, seed
    )
    assert status == 0, err
    assert sorted(out.split("\n")) == ["", *(f"rank {rank} is through" for rank in range(size))]
