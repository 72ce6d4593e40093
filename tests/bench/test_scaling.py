"""How steps grow with what they compute, and the checks of a device."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.bench import measuring, running, scaling
from refcnn.bench.workloads import Workload


@given(a=st.floats(1e-6, 1e3), b=st.floats(0.1, 3))
def test_the_exponent_of_a_power_law_is_found(a, b):
    sizes = [1, 2, 8, 64]
    assert scaling.exponent(sizes, [a * size**b for size in sizes]) == pytest.approx(b)


def test_one_disturbed_round_does_not_decide_about_growth():
    sizes, fair = [1, 2, 4], [1.0, 2.0, 4.0]
    check = scaling.growth("time", sizes, [fair, [1.0, 2.0, 40.0], fair])
    assert check.value == pytest.approx(1) and check.detail == "1: 1000.0 ms, 2: 2000.0 ms, 4: 4000.0 ms"
    # What holds of every round is found, however the machine's speed changes from one to the next.
    rounds = [[scale * size**1.2 for size in sizes] for scale in (1.0, 5.0, 0.2)]
    assert scaling.growth("time", sizes, rounds).value == pytest.approx(1.2)


class Recorder:
    """A process that takes a millisecond a unit of what was prepared, and notes the order of what it is asked."""

    def __init__(self):
        self.kept, self.unit, self.log = {}, None, []

    def ask(self, request, **arguments):
        if request == "prepare":
            self.unit = arguments["workload"]
        elif request == "keep":
            self.kept[arguments["name"]] = self.unit
        elif request == "resume":
            self.unit = self.kept[arguments["name"]]
            self.log.append(self.unit)
        elif request == "forget":
            self.kept.clear()
        return {"seconds": 1e-3 * self.unit * arguments.get("count", 1)}


def test_sizes_take_turns_up_and_down(monkeypatch):
    monkeypatch.setattr(scaling, "_ROUNDS", 3)
    process = Recorder()
    plan = [(size, Workload("work", "training", size)) for size in (1, 2, 4)]
    assert scaling._growth("time", process, plan).value == pytest.approx(1)
    assert process.log == [1, 2, 4, 4, 2, 1, 1, 2, 4] and not process.kept


def test_an_epoch_is_compared_with_the_steps_beside_it(book):
    class Epochs(Recorder):
        def ask(self, request, **arguments):
            if request == "epochs":
                # As the machine becomes slower; once it is disturbed.
                return {"epochs": [1.1, 2.2, 9.9, 4.4], "steps": [1.0, 2.0, 3.0, 4.0]}
            return super().ask(request, workload=1)

    check = scaling.epoch(Epochs(), book, 60)
    assert check.value == pytest.approx(1.1) and not check.passes


def test_the_least_of_several_first_steps_counts(monkeypatch):
    """The cold one is alone, since it fills the caches."""
    seconds = iter((9.0, 0.8, 0.5, 0.7))

    class Once:
        def ask(self, request, workload):
            return {"seconds": next(seconds)}

        def stop(self):
            pass

    monkeypatch.setattr(measuring, "refcnn", lambda device, caches: Once())
    found = running.first_step("opencl:0:0", 3)
    assert (found["cold"], found["warm"]) == (9.0, 0.5) and found["process"] < 1


def test_the_memory_that_is_needed():
    # Images, both rectified convolutions, the pooled image, Dense's rectified units and the logits, of two images; and
    # the parameters three times.
    activations = 36 + 32 * 36 + 64 * 36 + 64 * 9 + 128 + 10
    parameters = (9 + 1) * 32 + (32 * 9 + 1) * 64 + (64 * 9 + 1) * 128 + (128 + 1) * 10
    assert scaling.needed_bytes("chapter", (1, 6, 6), 2) == 4 * (3 * parameters + 2 * activations)


def test_checks_pass_up_to_their_limit():
    assert scaling.Check("time", 1.05, 1.05, "").passes and not scaling.Check("time", 1.06, 1.05, "").passes
    assert scaling.line(scaling.Check("time", 2.0, 1.5, "how")) == "  FAIL  time: 2.000, at most 1.5 (how)"


def test_the_checks_of_a_device(device, tiny, monkeypatch):
    monkeypatch.setattr(scaling, "_EPOCH_STEPS", {"cpu": 2, "gpu": 2})
    monkeypatch.setattr(scaling, "HOST_STEPS", 3)
    monkeypatch.setattr(scaling, "_SETTLED", 1)
    monkeypatch.setattr(scaling, "_TURN_SECONDS", 0.001)
    monkeypatch.setattr(scaling, "_ROUNDS", 2)
    monkeypatch.setattr(scaling, "_EPOCHS", 2)
    # A whole run measures it: to compile all kernels anew takes seconds.
    steps = {device: {"cold": 9.0, "warm": 0.7, "process": 1.2}}
    monkeypatch.setattr(scaling, "first_step", lambda name, turns: steps[name])
    found = list(scaling.checks(device))
    assert len({check.name for check in found}) == len(found) == 7
    assert all(math.isfinite(check.value) and check.detail for check in found)
    by_name = {check.name.split(",")[0]: check for check in found}
    assert by_name["import refcnn"].value > 0.01
    step = by_name["first training step"]
    assert step.value == 0.7 and "cold 9.00 s" in step.detail and "process 1.20 s" in step.detail
    assert by_name["device memory over what is needed"].value > 0.9
