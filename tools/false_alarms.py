"""Count the cases in which right implementations are called right, and keep each in which one is not.

``python tools/false_alarms.py COUNTS.jsonl --seeds 1:100`` draws the cases of each operation and hands the same ones to
all implementations: exact answers and bounds are found once. A line of COUNTS.jsonl holds the cases of one seed and
operation; what has a line is passed over, so that a run which was ended goes on where it was. What an implementation
fails is made small by Hypothesis and saved as a bundle beside COUNTS.jsonl, and it is asked no more of that direction.
"""

import argparse
import functools
import json
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import hypothesis
from threadpoolctl import threadpool_limits

from refcnn import backend
from refcnn.conformance.judging import composition, judge
from refcnn.conformance.judging.comparison import ConformanceFailure
from refcnn.conformance.running import checking, known_faults, runner, saving
from refcnn.conformance.running.job import Job
from refcnn.conformance.running.searching import searches
from refcnn.conformance.subjects import base, finding, own_kernels
from refcnn.conformance.theory import hypothesis_folder

CHECKOUT = Path(__file__).parents[1]
_ORDERS = (
    "sequential reversed pairs halves blocks_of_4 blocks_of_16 blocks_of_64 interleaved channels_first compensated"
)


def implementations():
    """Return the specifications of all right implementations that are here."""
    devices = backend.device_names()
    kernels = sorted((CHECKOUT / "tests/own_kernels/right").glob("*.cl"))
    return [
        "reference",
        *devices,
        "onnxruntime",
        *(f"tests.orders_of_summation:ALL.{order}" for order in _ORDERS.split()),
        *(own_kernels.specification(str(path), device) for path in kernels for device in devices),
    ]


class Asked:
    """One implementation, of which one row is tested: some kernels of one operation in one direction."""

    def __init__(self, specification, operation, direction, variant):
        self.subject = finding.find(specification, variant)
        self.row = operation, direction, variant
        self._followers = composition.split(variant)[1]
        self._known = known_faults.watch(self.subject.description, *self.row)
        self.cases, self.failed = 0, None

    def judge(self, case, expected):
        """Judge a case, with what is expected of those that are to give the same, if it is known already."""
        operation, direction, _ = self.row
        expect, check = (getattr(judge, f"{name}_{direction}") for name in ("expect", "check"))
        exactly = judge.is_exact(operation, case)
        try:
            needs = judge.asked_gradients(operation, case, self.subject) if direction == "backward" else ()
            if direction == "backward" and not any(needs):
                return
            algorithms = backend.algorithms_of(self.subject, operation, case.inputs, case.attributes)
            key = self._followers, self.subject.denormals, needs, repr(algorithms)
            how = {"to_the_bit": exactly, "followers": self._followers}
            followed = composition.followed(case, self._followers)
            if key not in expected:
                expected[key] = expect(operation, followed, self.subject, **how)
            twice = self.cases % checking.REPEATED == 0
            check(operation, followed, self.subject, expected=expected[key], twice=twice, **how)
        except (base.NotExpressible, composition.NoSuchResult):
            return
        except Exception as error:
            if self._known.explain(case, error, getattr(error, "difference", float("inf"))) is None:
                self.failed = case, error
                raise
        # What a failure is made small with was not drawn.
        self.cases += self.failed is None

    def save(self, folder, name):
        """Save the smallest case that failed, and return what the list says of it."""
        case, error = self.failed
        job = Job(*self.row, 1, 0, ("small",), "", str(folder / name))
        message = f"{type(error).__name__}: {error}"
        is_wrong = isinstance(error, ConformanceFailure)
        saving.save_bundle(job, case, self.subject, message, error, execute=is_wrong)
        return {"device": self.subject.specification, "row": list(self.row), "bundle": name, "message": message[:2000]}


class Counting:
    """Counts the cases of seed after seed.

    Parameters
    ----------
    path : Path
        The list of counts, to which lines are added.
    specifications : list of str
    examples : int
    """

    def __init__(self, path, specifications, examples):
        self._path, self._examples, self._alarmed = path, examples, set()
        # By their whole names, as the list has them: onnxruntime is short for one of its providers.
        self._subjects = {subject.specification: subject for subject in map(finding.find, specifications)}

    def run(self, seed, operation):
        """Count the cases of one seed and operation that have no line yet."""
        done = self._done().get((seed, operation), ())
        left = [one for one in self._subjects if one not in done]
        start, cases, alarms = time.process_time(), Counter(), []
        for direction in base.directions(operation):
            asked = [one for name in left for one in self._rows(name, operation, direction)]
            if asked:
                alarms += self._search(seed, operation, direction, asked)
            for one in asked:
                cases[one.subject.specification] += one.cases
        if cases:
            seconds = round(time.process_time() - start, 2)
            line = {"seed": seed, "operation": operation, "cases": cases, "alarms": alarms, "seconds": seconds}
            _append(self._path, json.dumps(line))

    def _rows(self, specification, operation, direction):
        """Yield what an implementation is asked: each of its variants of the operation."""
        subject = self._subjects[specification]
        if not subject.offers(operation, direction):
            return
        for row in _planned(specification, operation):
            if row[1] == direction and (specification, *row) not in self._alarmed:
                yield Asked(specification, *row)

    def _search(self, seed, operation, direction, asked):
        """Draw cases, and return what was wrong."""
        job = Job(operation, direction, None, self._examples, seed, ("small", "vast"), "")
        found = []
        for search in searches(job):
            left = [one for one in asked if one.failed is None]
            try:
                search.run(functools.partial(self._check, left))
            except hypothesis.errors.Unsatisfiable:
                continue
            except BaseException:
                failed = [one for one in left if one.failed is not None]
                if not failed:
                    raise
                for one in failed:
                    name = runner.bundle_name(seed, one.subject.specification, *one.row)[-150:]
                    found.append(one.save(self._path.parent, name))
                    self._alarmed.add((one.subject.specification, *one.row))
                    print(f"\n{found[-1]['device']}: {found[-1]['message']}", flush=True)
        return found

    @staticmethod
    def _check(asked, case):
        expected = {}
        failed = [one for one in asked if one.failed is not None]
        for one in failed or asked:
            one.judge(case, expected)

    def _done(self):
        """Return the implementations that have counts, by seed and operation."""
        done = {}
        for entry in entries(self._path):
            done.setdefault((entry["seed"], entry["operation"]), set()).update(entry["cases"])
        return done


@functools.cache
def _planned(specification, operation):
    return runner.plan(finding.find(specification), runner.Options("quick", 1, 0, operations=(operation,)))


def entries(path):
    """Yield the lines of a list of counts; half a line counts for nothing."""
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _append(path, line):
    """Add a line, whole: in one write, on the disk when this returns, and after the end of what was cut off."""
    with open(path, "ab+") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def summary(path):
    """Return the cases and alarms of each implementation in a list of counts, as text; those of a seed count once."""
    cases, alarms, counted = Counter(), Counter(), set()
    for entry in entries(path):
        for name, count in entry["cases"].items():
            key = entry["seed"], entry["operation"], name
            if key not in counted:
                counted.add(key)
                cases[name] += count
        alarms.update(alarm["device"] for alarm in entry["alarms"])
    rows = [f"{count:>9} {alarms[name]:>4} {name}" for name, count in sorted(cases.items())]
    return "\n".join([*rows, f"{cases.total():>9} {alarms.total():>4} in all"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=Path, help="the list of counts")
    parser.add_argument("--seeds", default="1:2", help="FIRST:BEYOND")
    parser.add_argument("--examples", type=int, default=100, help="cases of each row")
    parser.add_argument("--device", action="append", help="an implementation, as refcnn conform names it; all at first")
    parser.add_argument("--operation", action="append")
    arguments = parser.parse_args()
    sys.path.insert(0, str(CHECKOUT))
    warnings.simplefilter("ignore")
    counting = Counting(arguments.counts, arguments.device or implementations(), arguments.examples)
    with threadpool_limits(limits=1, user_api="blas"), hypothesis_folder.in_the_cache():
        for seed in range(*map(int, arguments.seeds.split(":"))):
            for operation in arguments.operation or base.operations():
                counting.run(seed, operation)
    print(summary(arguments.counts))


if __name__ == "__main__":
    main()
