"""The cases of a row, drawn by Hypothesis in several runs."""

import dataclasses
import functools

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ... import rooms
from ..judging import composition, judge
from ..theory.sizes import GROWN, LONG, is_vast
from ..theory.strategies import rounds, short_runs

#: A random case for so many others, and so many at least.
_OF_EACH_RANDOM, _LEAST_RANDOM = 12, 3
#: Elements of an array in them with which a simulator is done in some seconds: sums may have some hundred terms.
_MOST_SIMULATED = 600


@dataclasses.dataclass(frozen=True)
class Search:
    """One run of Hypothesis.

    Attributes
    ----------
    drawn : sequence of strategies
        Of cases.
    seed : str
    examples : int
    phases : tuple of Phase
        Beside that in which a failure is shrunk.
    """

    drawn: tuple
    seed: str
    examples: int
    phases: tuple = (Phase.generate,)

    def rest(self, done, cases):
        """Return what draws others in place of what is left, if anything is, after ``done`` cases, of a row's many."""
        left = self.examples - done
        return [dataclasses.replace(self, seed=f"{self.seed} after {cases}", examples=left)] if left > 0 else []

    def run(self, check):
        """Give cases to ``check``; the one at which it raises an exception is shrunk."""

        @hypothesis.seed(self.seed)
        @settings(
            max_examples=self.examples,
            database=None,
            deadline=None,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=(*self.phases, Phase.shrink),
            verbosity=hypothesis.Verbosity.quiet,
        )
        @given(st.one_of(self.drawn))
        def search(case):
            check(case)

        search()


def searches(job):
    """Return the :class:`Search` of which a :class:`~refcnn.conformance.running.job.Job` consists, in order."""
    few = {size: _number_of(size, job) for size in job.sizes if size in (*GROWN, *LONG)}
    drawn = _drawn(job.operation, [size for size in job.sizes if size not in few])
    plan = [Search(drawn, *one) for one in rounds(job.seed, job.examples - sum(few.values()))]
    for size, examples in few.items():
        cases = _drawn(job.operation, [size])
        if size in GROWN:
            cases = tuple(one.filter(functools.partial(is_vast, size=size)) for one in cases)
        if examples:
            plan.append(Search(cases, f"{job.seed} {size}", examples))
    return plan


def left_of(plan, cases):
    """Return each :class:`Search` of a plan of which so many cases ran, with what is left of the one they ended in."""
    left, before = [], 0
    for search in plan:
        done = max(cases - before, 0)
        before += search.examples
        left += [search] if done == 0 else search.rest(done, cases)
    return left


def searches_of_random(job):
    """Return each :class:`Search` of a row's cases for probable bounds; none where there are none."""
    strategy = rooms.trait(rooms.CONFORMANCE, job.operation, "random_cases")
    _, followers = composition.split(job.variant)
    drawn = None if strategy is None or followers else strategy(job.direction)
    if drawn is None:
        return []
    if "tiny" in job.sizes:
        drawn = drawn.filter(lambda case: max(entry.size for entry in case.arrays) <= _MOST_SIMULATED)
    examples = max(_LEAST_RANDOM, job.examples // _OF_EACH_RANDOM)
    return [Search((drawn,), f"{job.seed} random {start}", part) for start, part in short_runs(examples)]


def _number_of(size, job):
    """Return how many cases of a row are of a size that few are of; the first of them is always the same."""
    if size == "vast":
        return max(min(3, job.examples // 5), job.examples * 3 // 100)
    if size in LONG:
        return job.examples * LONG[size] // 100
    # Where the exact answer and the bound take no longer than moving the numbers.
    is_cheap = judge.has_exact_cases(job.operation) and not rooms.trait(rooms.CONFORMANCE, job.operation, "BOUND_GROWS")
    # Of the first case it is known how much memory it takes.
    most = 1 if size == "uncounted" else 4
    return min(job.examples // 100, most) if is_cheap else 0


def _drawn(operation, sizes):
    """Return the strategies of an operation's cases: by size, and those of integers too where they are exact."""
    module = judge.conformance(operation)
    drawn = [module.cases(size) for size in sizes]
    if judge.has_exact_cases(operation):
        drawn += [
            module.cases(size, integers=True).map(lambda case: dataclasses.replace(case, integers=True))
            for size in sizes
        ]
    return tuple(drawn)
