#!/usr/bin/env python3
"""Prove that the conformance checks catch faults: plant one at a time in the kernels, and see whether they notice.

Each fault (``kernel_faults.py`` lists the kinds) is planted in a copy of the
kernels' folder, which a process of its own builds and runs with the cases of
the operations that use that file, up to the first that fails. What survives
that runs once more, with small cases, inside Oclgrind where it is installed,
which reports races, uninitialised reads and accesses out of bounds. Kernels for
CPUs differ by the width of their vectors, of which ``--vector-width`` adds others than the device's own.
``--jobs`` runs several side by side; so do the ranks of ``mpiexec``, on several machines too.
``mutation_survivors.toml`` lists those faults that no input can show, with the reason.
"""

import argparse
import contextlib
import dataclasses
import itertools
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

# The processes that run the mutants are forks of this one, and threads do not survive a fork.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(Path(__file__).resolve().parent)]

from kernel_faults import KINDS, mutants
from mutation_outcomes import Result, explained, read_outcomes, read_survivors, report, show, write_outcomes

from refcnn.conformance.subjects import oclgrind
from refcnn.opencl.runtime.vectors import VECTOR_WIDTHS
from refcnn.parallel.alone import ALONE, RankError
from refcnn.parallel.dealing import deal
from refcnn.parallel.ranks import joined

KERNELS = CHECKOUT / "kernels"

# Cases of each variant that come before the others of any: many faults show in one variant alone, and soon.
_FIRST_CASES = 6

_PATIENCE = 4

#: Files that no operation runs: the kernels by which a device is tried before it is used (tests/test_trial.py), and by
#: which its peak is measured (tests/test_peaks.py).
OF_NO_OPERATION = {"multiply_adds", "trial"}


def plan(stem):
    """Return the (operation, variant) pairs that run a kernel file, or one that includes it.

    Parameters
    ----------
    stem : str
        The file's name without its ending.
    """
    from refcnn import rooms
    from refcnn.opencl.variants import with_fused

    files = [stem, *_including(stem)]
    runs = [
        (operation, variant)
        for operation in rooms.operations()
        for file in files
        for variant in _variants_that_run(file, operation)
    ]
    return [(operation, name) for operation, variant in dict.fromkeys(runs) for name in with_fused(operation, variant)]


def _including(stem):
    """Return the stems of the files that include a file, themselves or by others."""
    found = []
    for path in sorted(KERNELS.glob("*.cl")):
        if f'#include "{stem}.cl"' in path.read_text(encoding="utf-8").splitlines():
            found += [path.stem, *_including(path.stem)]
    return found


def _variants_that_run(stem, operation):
    """Return the variants of an operation that run a file, as its room tells, or else the file's name."""
    from refcnn import rooms

    named = rooms.trait(rooms.OPENCL, operation, "KERNELS")
    if stem in named:
        return named[stem]
    able = rooms.trait(rooms.OPENCL, operation, "VARIANTS")
    if stem == operation:
        return ("plain",) if able else (None,)
    return tuple(variant for variant in able if stem == f"{operation}_{variant}")


class Cases:
    """The cases of each operation, drawn once: every mutant meets the same ones.

    ``expected`` holds what the devices should answer, by what :func:`judge_all` looks it up with: it is
    computed when the sources run as they are, which are the files in ``tried``, and takes longer than the devices.
    """

    def __init__(self, examples, seed):
        self._examples, self._seed, self._drawn = examples, seed, {}
        self.expected, self.tried = {}, set()

    def of_variant(self, operation, variant, size, divisor=1):
        """Return (case, whether integers) pairs as :meth:`get` does, of an operation with what a variant fuses."""
        from refcnn.conformance.judging import composition

        key = operation, variant, size, divisor
        if key not in self._drawn:
            self._drawn[key] = found = []
            for case, integers in self.get(operation, size, divisor):
                with contextlib.suppress(composition.NoSuchResult):
                    found.append((composition.followed(case, composition.split(variant)[1]), integers))
        return self._drawn[key]

    def get(self, operation, size, divisor=1):
        """Return (case, whether integers) pairs, the two kinds in turn; a part of the usual number of them."""
        key = operation, size, divisor
        if key not in self._drawn:
            from refcnn.conformance.judging.judge import conformance, has_exact_cases

            kinds = (True, False) if has_exact_cases(operation) else (False,)
            count = max(2, self._examples // divisor)
            drawn = [self._draw(conformance(operation).cases(size, integers), count) for integers in kinds]
            self._drawn[key] = [
                (case, integers) for row in zip(*drawn, strict=False) for case, integers in zip(row, kinds, strict=True)
            ]
        return self._drawn[key]

    def _draw(self, strategy, count):
        from hypothesis import HealthCheck, Phase, given, seed, settings

        from refcnn.conformance.theory.strategies import rounds

        drawn, simplest = [], []
        for seed_of_round, examples, _ in rounds(self._seed, count):
            first = len(drawn)

            @seed(seed_of_round)
            @settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(strategy)
            def draw(case):
                drawn.append(case)

            draw()
            # The first one that Hypothesis draws in each round is the simplest, which shows least.
            simplest.append(drawn.pop(first))
        return drawn + simplest[:1]


def judge_all(device, runs, expected):
    """Run cases on a device until one fails.

    Parameters
    ----------
    device : str
        A backend's specification.
    runs : list of (operation, variant, cases)
    expected : dict
        As in :class:`Cases`; what it lacks is added.

    Returns
    -------
    (verdict, how, number of cases)
    """
    from refcnn import backend as backends
    from refcnn.conformance.judging import comparison, composition, judge
    from refcnn.conformance.subjects.backends import BackendSubject
    from refcnn.errors import BackendError, KernelBuildError

    checks = {
        "forward": (judge.expect_forward, judge.check_forward),
        "backward": (judge.expect_backward, judge.check_backward),
    }
    count = 0
    try:
        backend = backends.find(device)
    except BackendError as error:
        return "could not run", str(error), count
    try:
        for operation, variant, cases in runs:
            kernels, followers = composition.split(variant)
            subject = BackendSubject(backend.name, kernels)
            for case, integers in cases:
                count += 1
                for direction, (expect, check) in checks.items():
                    if direction == "backward" and case.dy is None:
                        continue
                    # The case is kept as long as this is.
                    key = device, operation, variant, id(case), direction
                    with contextlib.suppress(composition.NoSuchResult):
                        if key not in expected:
                            expected[key] = None
                            expected[key] = expect(operation, case, subject, to_the_bit=integers, followers=followers)
                        if expected[key] is not None:
                            check(operation, case, subject, followers=followers, expected=expected[key])
    except KernelBuildError as error:
        lines = str(error).splitlines()
        return "did not build", next((line for line in lines if "error:" in line), lines[0]), count
    except comparison.ConformanceFailure as error:
        return "killed", f"wrong: {str(error).splitlines()[0][:200]}", count
    except Exception as error:
        return "killed", f"failed: {type(error).__name__}: {error}"[:300], count
    return "survived", "", count


def _child(connection, environment, device, runs, expected, limit):
    os.environ.update(environment)
    # Its own processor time tells a loop without end from a machine that is busy with something else.
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit)))
    # pyopencl leaves the source of what does not build in a temporary file.
    tempfile.tempdir = environment["XDG_CACHE_HOME"]
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    known = set(expected)
    result = judge_all(device, runs, expected)
    connection.send((*result, {key: expected[key] for key in expected.keys() - known}))
    connection.close()
    # The runtimes' clean-up at exit takes long, and some crash in it.
    os._exit(0)


def in_process(environment, device, runs, expected, limit):
    """Return the Result of :func:`judge_all` in a process of its own, which may crash or hang.

    It hangs if it takes more than ``limit`` seconds of processor time, or waits for :data:`_PATIENCE` times as long.
    """
    import multiprocessing

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    began, spent = time.monotonic(), _time_of_children()
    process = context.Process(target=_child, args=(sender, environment, device, runs, expected, limit))
    process.start()
    sender.close()
    try:
        waited = _PATIENCE * limit
        answered = receiver.poll(waited)
        hung = "killed", f"hung: waits for over {waited:.0f} s", 0, {}
        verdict, how, cases, added = receiver.recv() if answered else hung
        expected.update(added)
    except EOFError:
        process.join()
        # Not to the last moment: the clock of the limit, at which the system kills, and this one differ, the more the
        # busier the machine is.
        share = 0.5 if process.exitcode == -signal.SIGKILL else 0.9
        is_hung = _time_of_children() - spent > share * limit
        how = f"hung: over {limit:.0f} s" if is_hung else f"crashed: exit status {process.exitcode}"
        verdict, cases = "killed", 0
    if process.is_alive():
        process.kill()
    process.join()
    return Result(verdict, how, device, cases, time.monotonic() - began)


def _time_of_children():
    """Return the seconds of processor time of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Bench:
    """Runs sources of one kernel file after the other, on the devices and inside Oclgrind."""

    def __init__(self, folder, devices, widths, cases, limit, optimised=True):
        self.folder, self.devices, self.cases, self.limit = Path(folder), devices, cases, limit
        self.widths = [{"REFCNN_VECTOR_WIDTH": str(width)} if width else {} for width in widths]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kernels = self.folder / "kernels"
        shutil.copytree(KERNELS, self.kernels)
        (self.folder / "cache").mkdir()
        # Compiled programs go there too, and with it at the end.
        self.environment = {"REFCNN_KERNELS": str(self.kernels), "XDG_CACHE_HOME": str(self.folder / "cache")}
        if not optimised:
            self.environment["PYOPENCL_BUILD_OPTIONS"] = "-cl-opt-disable"
        self.library = oclgrind.library()

    def run_as_it_is(self, file):
        """Return the Result of a file without a fault, which computes what is expected of those with one."""
        self.cases.tried.add(file)
        return self.run(file, (KERNELS / file).read_text(encoding="utf-8"))

    def run_mutant(self, mutant):
        """Return the Result of a mutant, whose limit of time is not to pay for what is expected of it."""
        if mutant.file not in self.cases.tried:
            self.run_as_it_is(mutant.file)
        return self.run(mutant.file, mutant.source)

    def run(self, file, source):
        """Return the Result of one source in the place of a file."""
        path = self.kernels / file
        path.write_text(source, encoding="utf-8")
        began = time.monotonic()
        try:
            results = []
            for width, device in itertools.product(self.widths, self.devices):
                environment = self.environment | width
                runs = self._runs(path.stem)
                results.append(in_process(environment, device, runs, self.cases.expected, self.limit))
                if results[-1].verdict == "killed":
                    break
            if self.library and (not results or results[-1].verdict == "survived"):
                for width in self.widths:
                    results.append(self._inside_oclgrind(path.stem, width))
                    if results[-1].verdict == "killed":
                        break
        finally:
            shutil.copyfile(KERNELS / file, path)
        # A fault that one device builds and another does not is judged by the one that does.
        result = next((entry for entry in results if entry.verdict == "killed"), None) or min(
            results, key=lambda entry: entry.verdict == "did not build"
        )
        return dataclasses.replace(result, seconds=time.monotonic() - began)

    def _runs(self, stem):
        runs = [(name, variant, self.cases.of_variant(name, variant, "small")) for name, variant in plan(stem)]
        first = [(name, variant, cases[:_FIRST_CASES]) for name, variant, cases in runs]
        return first + [(name, variant, cases[_FIRST_CASES:]) for name, variant, cases in runs]

    def _simulator_runs(self, stem):
        """Small cases, and few of those operations that keep a simulator busy."""
        pairs = plan(stem)
        return [
            (name, variant, self.cases.of_variant(name, variant, "tiny", 5 if variant else 2))
            for name, variant in pairs
        ]

    def _inside_oclgrind(self, stem, width):
        environment = self.environment | width | oclgrind.environment(self.folder, self.library)
        reports = oclgrind.Reports(environment)
        runs = self._simulator_runs(stem)
        result = in_process(environment, "opencl:oclgrind:0", runs, self.cases.expected, 4 * self.limit)
        report = reports.following()
        if report and result.verdict == "survived":
            lines = [line.strip() for line in report.splitlines() if line.strip()]
            result = dataclasses.replace(result, verdict="killed", how=f"reported: {lines[0]}")
        return dataclasses.replace(result, where="oclgrind")


def kernel_files():
    """Return the names of the files that operations run."""
    return sorted(path.name for path in KERNELS.glob("*.cl") if path.stem not in OF_NO_OPERATION)


def choose(arguments):
    """Return the mutants to run, and how many there are of the chosen files and kinds."""
    files = kernel_files()
    wanted = [name if name.endswith(".cl") else f"{name}.cl" for name in arguments.file or files]
    unknown = sorted(set(wanted) - set(files))
    if unknown:
        raise ValueError(f"there is no kernel file {', '.join(unknown)}. There are: {', '.join(files)}.")
    found = [mutant for name in wanted for mutant in mutants(name, (KERNELS / name).read_text(encoding="utf-8"))]
    chosen = [mutant for mutant in found if not arguments.kind or mutant.kind in arguments.kind]
    if arguments.limit is not None and arguments.limit < len(chosen):
        drawn = random.Random(arguments.seed).sample(range(len(chosen)), arguments.limit)
        return [chosen[index] for index in sorted(drawn)], found, len(chosen)
    return chosen, found, len(chosen)


def results_of(benches, chosen):
    """Yield (mutant, Result) as they come from one process for each bench."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    following, results = context.Value("i", 0), context.SimpleQueue()

    def work(bench):
        while True:
            with following.get_lock():
                number, following.value = following.value, following.value + 1
            if number >= len(chosen):
                break
            results.put((number, bench.run_mutant(chosen[number])))

    processes = [context.Process(target=work, args=(bench,)) for bench in benches]
    for process in processes:
        process.start()
    try:
        for _ in chosen:
            while results.empty():
                if not any(process.is_alive() for process in processes) and results.empty():
                    raise RuntimeError("the processes that run the mutants ended before their work was done")
                time.sleep(0.05)
            number, result = results.get()
            yield chosen[number], result
    finally:
        for process in processes:
            process.terminate()
            process.join()


def run_all(benches, chosen, listed, outcomes, path, ranks=ALONE):
    """Run the mutants, add a (mutant, Result) for each to ``outcomes``, and print a line for each.

    What is known so far is written to ``path``, if there is one, every half minute and at the end.
    """
    written = time.monotonic()
    count = len(chosen)

    def found(mutant, result):
        nonlocal written
        outcomes.append((mutant, explained(mutant, result, listed)))
        _print_outcome(*outcomes[-1], f"{len(outcomes) - former}/{count}")
        if path and time.monotonic() - written > 30:
            write_outcomes(path, outcomes)
            written = time.monotonic()

    former = len(outcomes)
    try:
        if ranks.size > 1:
            deal(ranks, chosen, benches[0].run_mutant, found)
        else:
            for mutant, result in results_of(benches, chosen):
                found(mutant, result)
    except KeyboardInterrupt:
        print(f"Stopped after {len(outcomes)} mutants.", file=sys.stderr)
    if path and ranks.is_first:
        write_outcomes(path, outcomes)


def _print_outcome(mutant, result, place):
    print(
        f"[{place}] {result.seconds:5.1f} s  {result.verdict:<14}{mutant.kind:<13}{mutant.file}:{mutant.number}  "
        f"{result.where} {result.how[:70]}",
        flush=True,
    )
    if result.verdict == "survived":
        print(show(mutant), flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--file", action="append", help="a kernel file, such as conv2d_cpu; all as a rule")
    parser.add_argument("--kind", action="append", choices=KINDS, help="a kind of fault; all as a rule")
    parser.add_argument("--limit", type=int, help="run a random sample of so many")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of the cases")
    parser.add_argument("--examples", type=int, default=25, help="cases of an operation, and as many of integers")
    parser.add_argument("--device", action="append", help="an OpenCL backend; several are tried in turn")
    parser.add_argument(
        "--vector-width",
        action="append",
        type=int,
        choices=(0, *VECTOR_WIDTHS),
        help="of kernels for CPUs; several are tried in turn, 0 is the device's own",
    )
    parser.add_argument("--unoptimised", action="store_true", help="tell compilers to be quick, which some are by far")
    parser.add_argument(
        "--no-oclgrind", action="store_true", help="for a first pass: --resume takes its survivors there"
    )
    parser.add_argument(
        "--time-limit", type=float, default=30, help="seconds of processor time for a mutant on a device"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that run mutants side by side")
    parser.add_argument("--json", type=Path, help="write what became of each mutant to this file, as the run goes on")
    parser.add_argument("--resume", type=Path, help="take from such a file what was killed or did not build")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run the tool; return 0 if every fault is caught or explained, 1 if not, 2 if it could not run."""
    arguments = parse(arguments)
    try:
        with joined() as ranks, _only_first_speaks(ranks):
            return run(arguments, ranks)
    except RankError as error:
        if error.is_told_here:
            print(f"mutate_kernels: {error}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _only_first_speaks(ranks):
    with contextlib.ExitStack() as stack:
        if not ranks.is_first:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def run(arguments, ranks):
    """Run what the arguments ask for, on all ranks, and return the exit status."""
    try:
        if ranks.size > 1 and arguments.jobs > 1:
            raise ValueError("--jobs and mpiexec do not go together: start more ranks instead.")
        chosen, found, available = choose(arguments)
        listed = read_survivors()
    except ValueError as error:
        print(f"mutate_kernels: {error}", file=sys.stderr)
        return 2
    if arguments.list:
        print(*map(show, chosen), f"{len(chosen)} mutants", sep="\n")
        return 0
    outcomes = read_outcomes(arguments.resume, chosen, listed) if arguments.resume and ranks.is_first else []
    known = {mutant.identity for mutant, _ in outcomes}
    chosen = [mutant for mutant in chosen if mutant.identity not in known]
    with tempfile.TemporaryDirectory(prefix="refcnn-mutants-") as folder:
        benches = _benches(arguments, Path(folder))
        if not _passes_as_it_is(benches[0], sorted({mutant.file for mutant in chosen}), ranks):
            return 2
        run_all(benches, chosen, listed, outcomes, arguments.json, ranks)
    return ranks.by_first(lambda: 0 if report(outcomes, listed, found, available) else 1)


def _benches(arguments, folder):
    # The cases are drawn while the sources are tried as they are, before the processes that share them start.
    cases = Cases(arguments.examples, arguments.seed)
    devices = arguments.device or ["opencl"]
    widths = arguments.vector_width or [0]
    benches = [
        Bench(folder / str(job), devices, widths, cases, arguments.time_limit, not arguments.unoptimised)
        for job in range(arguments.jobs)
    ]
    if arguments.no_oclgrind:
        for bench in benches:
            bench.library = None
    elif benches[0].library is None:
        print("Oclgrind is not installed: barriers and accesses out of bounds are judged by results alone.")
    return benches


def _passes_as_it_is(bench, files, ranks):
    """Return, on all ranks, whether no file fails without a fault; say which does."""
    failing = []

    def found(file, result):
        print(f"{file} as it is: {result.seconds:.1f} s", flush=True)
        if result.verdict != "survived":
            failing.append(f"mutate_kernels: {file} as it is: {result.verdict}, {result.how}")

    # None is taken after one that fails.
    deal(ranks, itertools.takewhile(lambda _: not failing, files), bench.run_as_it_is, found)
    if failing:
        print(failing[0], file=sys.stderr)
    return ranks.by_first(lambda: not failing)


if __name__ == "__main__":
    sys.exit(main())
