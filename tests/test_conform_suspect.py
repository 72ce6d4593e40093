"""What hides below the proved bounds of long sums is suspect; what is right, in whatever order, is not."""

import dataclasses
import math
import subprocess
import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from refcnn import backend, rooms
from refcnn.cli import main
from refcnn.conformance.bundles.case_file import read_case
from refcnn.conformance.judging import comparison, judge, suspecting
from refcnn.conformance.reports.merge import load, merge
from refcnn.conformance.reports.results import Report
from refcnn.conformance.running import checking, pytest_plugin, searching
from refcnn.conformance.running.job import Job
from refcnn.conformance.subjects.base import operations
from refcnn.conformance.theory import probable
from refcnn.conformance.theory.bounds import sum_of_products
from refcnn.conformance.theory.random_numbers import matrices, numbers

PLANTED = """
import numpy as np


def rounded(x):
    # To the eleven bits of TensorFloat-32.
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, 11)), exponent - 11)


class Planted:
    def dense(self, x, w, b):
        if x.shape[1] >= 2000 and np.isfinite(x).all() and np.isfinite(w).all():
            x, w = rounded(x), rounded(w)
        with np.errstate(all="ignore"):
            return (x @ w + (0 if b is None else b)).astype(np.float32)

    def relu(self, x):
        return np.maximum(x, np.float32(0))


planted = Planted()
"""
SUMMED = [operation for operation in operations() if rooms.trait(rooms.CONFORMANCE, operation, "sums")]
FEW = settings(
    max_examples=8, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def conform(own_module, tmp_path):
    """Run ``refcnn conform`` on what is planted; return the outcome and the rows."""
    own_module("planted", PLANTED)

    def run(*arguments):
        asked = ["--device", "planted:planted", "--report", "report", *map(str, arguments)]
        done = CliRunner().invoke(main, ["conform", *asked])
        (found,) = Report.load(tmp_path / "report" / "report.json").devices
        return done, {row.name: row for row in found.rows}

    return run


def test_products_of_eleven_bits_in_long_sums_are_suspect(conform, tmp_path):
    done, rows = conform("--operation", "dense", "--operation", "relu", "--seed", 1, "--examples", 60)
    row, relu = rows["dense.forward"], rows["relu.forward"]
    assert done.exit_code == 0, done.output
    assert row.verdict == "suspect" and row.worst_ratio <= 1 < row.worst_probable and row.cases == 60
    # Nothing is known of what is no sum.
    assert relu.verdict == "conforms" and relu.worst_probable is None and not relu.random_cases
    assert "no verdict" in done.output and done.output.endswith("Suspect: planted:planted (dense.forward).\n")
    told = row.failure.message
    assert all(word in told for word in ("difference", "  bound  ", "probable bound", "with a probability of"))
    # The smallest case is as long as it must be, and no wider.
    bundle = tmp_path / "report" / row.failure.bundle
    case = read_case(bundle)[3]
    assert case.random_signs and case.inputs[0].shape[1] >= 2000 and case.inputs[1].shape[1] == 1
    assert "! suspect" in (tmp_path / "report" / "report.html").read_text()
    (column,) = merge(load([tmp_path / "report" / "report.json"])).columns
    assert "suspect" in {cell.row.verdict for cell in column.cells.values()}
    assert not done.exception
    # It shows that by itself.
    with np.load(bundle / "arrays.npz") as arrays:
        np.save(tmp_path / "computed.npy", arrays["computed_0"])
        np.save(tmp_path / "right.npy", arrays["exact_0"].astype(np.float32))
    for name, status, found in (("computed", 1, "y: SUSPECT in 1 of 1"), ("right", 0, "within the probable bound")):
        command = [sys.executable, str(bundle / "repro.py"), "--results", str(tmp_path / f"{name}.npy")]
        script = subprocess.run(command, capture_output=True, text=True)
        assert script.returncode == status and found in script.stdout, script.stdout + script.stderr
    # A bundle is judged by the probable bound again.
    done, rows = conform("--repro", bundle, "--strict")
    assert (done.exit_code, rows["dense.forward"].verdict) == (1, "suspect")


def test_the_probable_bound_of_a_long_sum_is_far_below_the_proved_one():
    x, w, _ = draw_one(random_matrices().filter(lambda drawn: drawn[0].shape[1] >= 2000))
    bound = probable.Sum(x.shape[1]).bound(np.square(x.astype(np.float64)) @ np.square(w.astype(np.float64)))
    assert (bound < 0.2 * sum_of_products(np.matmul, x, w, x.shape[1])).all()


def random_matrices():
    """Draw two matrices, whose product has long sums, and its gradient."""
    return matrices("forward").flatmap(lambda shapes: numbers(*shapes))


def draw_one(strategy):
    """Return one of what a strategy draws."""
    found = []

    @FEW
    @given(strategy)
    def draw(one):
        found.append(one)

    draw()
    return found[-1]


@pytest.mark.parametrize("operation", SUMMED)
def test_sums_have_no_more_terms_than_they_say(operation):
    # Of ones an operation makes the number of terms, times their weight.
    for direction in ("forward", "backward"):
        strategy = rooms.trait(rooms.CONFORMANCE, operation, "random_cases")(direction)
        if strategy is None:
            continue

        @FEW
        @given(strategy)
        def check(case):
            assert case.random_signs
            for entry in case.arrays:
                assert entry.dtype == np.float32 and (np.abs(entry) >= 0.5).all() and (np.abs(entry) <= 2).all()
                assert entry.size < 64 or (entry > 0).any() and (entry < 0).any()
            ones = tuple(None if entry is None else np.ones(entry.shape) for entry in case.inputs)
            dy = None if case.dy is None else np.ones(case.dy.shape)
            results, gradients = judge.exact(operation, dataclasses.replace(case, inputs=ones, dy=dy))
            of_result, of_gradients = suspecting.sums(operation, case, backend.find("reference"))
            pairs = [(of_result, results[0]), *zip(of_gradients, gradients or (), strict=False)]
            # Of what may be summed in several ways the first is by definition.
            pairs = [(getattr(one, "ways", (one,))[0], found) for one, found in pairs]
            counts = [(one, found / one.weight) for one, found in pairs if one is not None and found is not None]
            is_unknown = set(case.attributes.get("stride", ())) == {1}
            assert counts or is_unknown
            for one, found in counts:
                assert found.max() <= one.terms * (1 + 1e-9)

        check()


@FEW
@given(random_matrices())
def test_signs_are_random_of_products_too(drawn):
    x, w, _ = drawn
    products = x * w[:, 0]
    assert abs(np.sign(products).sum(axis=1)).max() <= 6 * math.sqrt(x.shape[1])


def sequential(products):
    return np.add.accumulate(products, axis=1, dtype=np.float32)[:, -1]


def blocked(products):
    return sequential(np.stack([sequential(part) for part in np.array_split(products, 7, axis=1)], axis=1))


def pairwise(products):
    while products.shape[1] > 1:
        half = products.shape[1] // 2
        sums = products[:, :half] + products[:, half : 2 * half]
        products = np.concatenate([sums, products[:, 2 * half :]], axis=1)
    return products[:, 0]


def fused(products_of):
    """Add exact products one after the other, rounding once each time."""
    total = np.zeros(len(products_of), np.float32)
    for column in products_of.T:
        total = (total + column).astype(np.float32)
    return total


ORDERS = {
    "sequential": sequential,
    "reversed": lambda products: sequential(products[:, ::-1]),
    "blocked": blocked,
    "pairwise": pairwise,
}


@FEW
@given(st.data())
def test_no_order_of_summation_is_suspect(data):
    x, w, _ = data.draw(random_matrices())
    w = w[:, :1]
    exact = (x.astype(np.float64) @ w.astype(np.float64))[:, 0]
    bound = probable.Sum(x.shape[1]).bound((np.square(x.astype(np.float64)) @ np.square(w.astype(np.float64)))[:, 0])
    products = x * w[:, 0]
    for order in ORDERS.values():
        assert (np.abs(order(products) - exact) < 0.5 * bound).all()
    assert (np.abs(fused(x.astype(np.float64) * w[:, 0]) - exact) < 0.5 * bound).all()


def test_the_probable_bound_holds_of_the_worst_roundings_that_are_independent():
    # Each as large as it may be, in the order whose partial sums are the longest walk. Rounding is never as bad.
    rng, terms, runs = np.random.default_rng(1), 200, 20_000
    partial = rng.choice((-1.0, 1.0), (runs, terms)).cumsum(axis=1)[:, 1:]
    error = np.abs((partial * rng.choice((-1.0, 1.0), partial.shape)).sum(axis=1))
    unit = math.sqrt(terms * terms)
    assert error.max() < probable.FACTOR * unit
    # It is of the right size: what is as rare as one in 20,000 is not far off.
    assert error.max() > probable.FACTOR * unit / 6
    # And as the docstring derives it.
    share = 1 - probable.LAMBDA**-2
    chance = 2 * math.exp(-math.sqrt(share) * probable.FACTOR) / math.sqrt(1 - share)
    assert chance == pytest.approx(probable.failure_probability(1))


@pytest.mark.parametrize("operation", ["conv2d", "conv_transpose2d"])
def test_what_is_judged_depends_on_what_is_told_of_the_algorithm(operation):
    case = draw_one(rooms.trait(rooms.CONFORMANCE, operation, "random_cases")("forward"))
    find_sums = rooms.trait(rooms.CONFORMANCE, operation, "sums")
    x, w, _ = (entry.shape[:2] for entry in (*case.inputs[:2], case.dy))
    told = {"forward": "direct", "backward_x": "winograd_2x2"}
    # Who does not tell may compute by tiles where they serve; by which is known of 3 x 3 taps alone.
    for taps, attributes, algorithms, expected in (
        (3, {}, told, ["Sum", "Tiled", "AnyOf"]),
        (3, {}, told | {"backward_w": "winograd_4x4"}, ["Sum", "Tiled", "Tiled"]),
        (3, {}, None, ["AnyOf"] * 3),
        (3, {"dilation": (2, 2)}, None, ["NoneType"] * 3),
        (2, {}, None, ["NoneType"] * 3),
        (2, {}, told, ["Sum", "Tiled", "NoneType"]),
        (3, {"stride": (2, 2)}, None, ["Sum"] * 3),
        (1, {}, None, ["Sum"] * 3),
    ):
        inputs = np.ones((*x, 9, 9)), np.ones((*w, taps, taps)), None
        attributes = case.attributes | {"stride": (1, 1)} | attributes
        asked = dataclasses.replace(case, inputs=inputs, attributes=attributes)
        forward, gradients = find_sums(asked, algorithms)
        assert [type(one).__name__ for one in (forward, *gradients)] == [*expected, "Sum"]


def test_no_cases_are_drawn_for_what_has_no_verdict():
    job = Job("conv2d", "forward", None, 100, 0, ("small",), "")
    assert sum(search.examples for search in searching.searches_of_random(job)) == 8
    for other in ({"variant": "direct+relu"}, {"operation": "relu"}):
        assert not searching.searches_of_random(dataclasses.replace(job, **other))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_simulators_are_given_short_ones(direction):
    job, found = Job("conv2d", direction, None, 1, 0, ("tiny",), ""), []
    (search,) = searching.searches_of_random(job)
    search.run(found.append)
    assert len(found) == 3 and max(entry.size for case in found for entry in case.arrays) <= 600


@pytest.mark.parametrize("is_strict", [False, True])
def test_the_plugin_warns_of_what_is_suspect_or_fails(monkeypatch, is_strict):
    row = checking.Row("dense", "forward", verdict="suspect", failure=checking.Failure("far off"))
    monkeypatch.setattr(checking, "Run", lambda *arguments: type("", (), {"run": lambda self: row})())
    item = object.__new__(pytest_plugin.Conformance)
    item._specification, item._row, item._is_strict = "planted", ("dense", "forward", None), is_strict
    item._options, item._sizes, warned = type("", (), {"examples": 1, "seed": 0}), (), []
    item.warn = warned.append
    if is_strict:
        with pytest.raises(pytest_plugin._Outside, match="far off"):
            item.runtest()
    else:
        item.runtest()
        assert "dense.forward is suspect: far off" in str(warned[0])


#: Operations whose formulas have sums in them, and the direction of these.
ANALYSED = [
    (operation, direction)
    for operation in operations()
    if operation not in SUMMED
    for direction in ("forward", "backward")
    if (random_cases := rooms.trait(rooms.CONFORMANCE, operation, "random_cases"))
    and random_cases(direction) is not None
]


def of_eleven_bits(x):
    """Return rows as TensorFloat-32 has them, if they are long: in short ones what is proved finds it."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, 11)), exponent - 11) if x.shape[1] >= 2000 else x


def added_with_truncation(terms):
    """Add rows as hardware does that cuts off what does not fit, in the place of rounding."""
    total = np.zeros(len(terms), np.float64)
    for column in np.asarray(terms, np.float64).T:
        total = _towards_zero(total + column)
    return total


def _towards_zero(x):
    nearest = x.astype(np.float32)
    return np.where(np.abs(nearest) > np.abs(x), np.nextafter(nearest, np.float32(0)), nearest).astype(np.float64)


@pytest.mark.parametrize(("operation", "direction"), ANALYSED)
def test_sums_in_formulas_are_judged_and_right_ones_are_not_suspect(operation, direction):
    drawn = rooms.trait(rooms.CONFORMANCE, operation, "random_cases")(direction)
    reference, statistics, sums = backend.find("reference"), comparison.Statistics(), []

    @FEW
    @given(drawn)
    def check(case):
        expect = getattr(judge, f"expect_{direction}")(operation, case, reference)
        assert len(expect.probable) == len(expect.bounds)
        sums.append(expect.sums)
        # It is no wider than what is proved, and much less in long sums.
        for bound, probable_bound in zip(expect.bounds, expect.probable, strict=True):
            assert (probable_bound <= bound * (1 + 1e-12)).all()
        getattr(judge, f"check_{direction}")(operation, case, reference, expected=expect, statistics=statistics)

    check()
    assert any(sums) and 0 < statistics.worst_probable <= 1


def moments(x, read=lambda x: x, add=lambda terms: terms.sum(axis=1)):
    """Return the mean and the variance of rows, of which the mean is that of what a function reads of them."""
    mean = add(read(x).astype(np.float64)) / x.shape[1]
    return mean, np.square(x.astype(np.float64) - mean[:, None]).mean(axis=1)


def batch_normalization(x, scale, bias, mean, variance, *, epsilon, momentum, training, **how):
    of_rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    batch = moments(of_rows, **how)
    form = (1, -1, *[1] * (x.ndim - 2))
    normalised = (x - batch[0].reshape(form)) / np.sqrt(batch[1] + epsilon).reshape(form)
    running = [momentum * old + (1 - momentum) * new for old, new in zip((mean, variance), batch, strict=True)]
    return tuple(e.astype(np.float32) for e in (scale.reshape(form) * normalised + bias.reshape(form), *running))


def summed_loss(x, t, *, reduce_sum, **attributes):
    terms = np.square(x.astype(np.float64) - t)
    return (added_with_truncation(terms.reshape(1, -1))[0] / len(x)).astype(np.float32).reshape(())


def sum_square(x, *, axes, keepdims):
    rows = np.square(x.astype(np.float64)).reshape(*x.shape[:2], -1)
    return added_with_truncation(rows.reshape(-1, rows.shape[-1])).reshape(x.shape[:2]).astype(np.float32)


def l2_pool(x, *, p, kernel, stride, **others):
    windows = np.lib.stride_tricks.sliding_window_view(np.abs(x.astype(np.float64)) ** p, kernel, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]
    total = added_with_truncation(windows.reshape(-1, math.prod(kernel))) ** (1 / p)
    return total.reshape(windows.shape[:4]).astype(np.float32)


def softmax_truncated(x, *, axis):
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return (e / added_with_truncation(e)[:, None]).astype(np.float32)


PLANTED_IN_FORMULAS = {
    # The mean alone is that of such numbers.
    "batch_normalization": lambda *given, **how: batch_normalization(*given, read=of_eleven_bits, **how),
    "mean_squared_error": summed_loss,
    "reduce_sum_square": sum_square,
    "lp_pool2d": l2_pool,
    "softmax": softmax_truncated,
}


@pytest.mark.parametrize("operation", PLANTED_IN_FORMULAS)
def test_what_the_proved_bound_of_a_formula_lets_pass_is_suspect(operation):
    found, reference = [], backend.find("reference")
    formula = PLANTED_IN_FORMULAS[operation]

    def forward(*inputs, **attributes):
        return formula(*inputs, **attributes), None

    @settings(FEW, max_examples=16)
    @given(rooms.trait(rooms.CONFORMANCE, operation, "random_cases")("forward"))
    def check(case):
        if not case.attributes.get("training", True):
            return
        try:
            judge.check_forward(
                operation, case, reference, implementation=types.SimpleNamespace(forward=forward, backward=None)
            )
        except suspecting.Suspect as suspect:
            found.append(suspect)

    check()
    assert found and "probable bound" in str(found[0])
