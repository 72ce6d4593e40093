"""The conformance run as a pytest plugin: a test for each operation, direction and variant on each device.

``pytest --pyargs refcnn.conformance --refcnn-device all`` runs these tests
alone; added to another call of pytest they run beside its tests. Each runs in
pytest's own process, so that a crash of a device ends it: ``refcnn conform``
runs each device in a process apart.
"""

import pytest


def pytest_addoption(parser):
    """Add the options."""
    group = parser.getgroup("refcnn", "conformance of devices with refcnn's reference")
    group.addoption(
        "--refcnn-device",
        action="append",
        default=[],
        metavar="DEVICE",
        help="test this device: all, reference, opencl:PLATFORM:DEVICE, onnxruntime or MODULE:OBJECT; may be repeated",
    )
    group.addoption(
        "--refcnn-profile", choices=["quick", "standard", "long"], default="quick", help="how many cases [quick]"
    )
    group.addoption("--refcnn-strict", action="store_true", help="fail of what is only suspect")
    group.addoption("--refcnn-seed", type=int, default=0, metavar="N", help="fixes what is drawn [0]")


def pytest_collection_modifyitems(session, config, items):
    """Add the tests of the devices that were named."""
    specifications = config.getoption("--refcnn-device")
    if not specifications:
        return
    from ...errors import RefcnnError
    from ..subjects import finding as subjects
    from . import runner

    profile = config.getoption("--refcnn-profile")
    options = runner.Options(profile, runner.PROFILES[profile], config.getoption("--refcnn-seed"))
    try:
        named = subjects.expand(one for one in specifications if one != "all")
        is_strict = config.getoption("--refcnn-strict")
        for specification in subjects.expand(specifications):
            items += _tests(session, subjects.find(specification), options, specification in named, is_strict)
    except RefcnnError as error:
        raise pytest.UsageError(str(error)) from None


def _tests(session, subject, options, is_named, is_strict):
    """Yield the tests of a device."""
    from . import runner

    specification = subject.specification
    if specification == "oclgrind":
        raise pytest.UsageError("oclgrind needs a process of its own: run refcnn conform --device oclgrind.")
    if subject.unusable is not None:
        problem = f"{subject.description['name']} is unusable: {subject.unusable}"
        yield _test(Unusable, session, f"device[{specification}]", is_named=is_named, problem=problem)
        return
    sizes = runner.sizes(subject, options)
    for row in runner.plan(subject, options):
        operation, direction, variant = row
        if subject.offers(operation, direction):
            name = f"{operation}-{direction}[{'-'.join(filter(None, (specification, variant)))}]"
            what = {"specification": specification, "row": row, "options": options, "sizes": sizes}
            yield _test(Conformance, session, name, is_strict=is_strict, **what)


def _test(kind, session, name, **what):
    return kind.from_parent(session, name=name, nodeid=f"refcnn::{name}", **what)


class _Item(pytest.Item):
    def repr_failure(self, excinfo):
        """Return what was found; a traceback through refcnn does not help."""
        return str(excinfo.value) if isinstance(excinfo.value, _Outside) else super().repr_failure(excinfo)

    def reportinfo(self):
        """Return where the test stands, for messages."""
        return "refcnn", None, self.name


class Unusable(_Item):
    """A device that failed its trial: one finding if it was named, else passed over."""

    def __init__(self, *, is_named, problem, **keywords):
        super().__init__(**keywords)
        self._is_named, self._problem = is_named, problem

    def runtest(self):
        """Fail, or skip."""
        if not self._is_named:
            pytest.skip(self._problem)
        raise _Outside(self._problem)


class Conformance(_Item):
    """One row of a conformance run."""

    def __init__(self, *, specification, row, options, sizes, is_strict, **keywords):
        super().__init__(**keywords)
        self._is_strict = is_strict
        self._specification, self._row, self._options, self._sizes = specification, row, options, sizes

    def runtest(self):
        """Run the row's cases, and fail with the smallest that shows each fault; warn of what is suspect."""
        import tempfile
        from pathlib import Path

        from .checking import Run
        from .job import Job

        operation, direction, variant = self._row
        with tempfile.TemporaryDirectory() as folder:
            job = Job(
                operation,
                direction,
                variant,
                self._options.examples,
                self._options.seed,
                self._sizes,
                str(Path(folder) / "case.npz"),
            )
            row = Run(self._specification, job, lambda event: None).run()
        told = ["\n".join(filter(None, (one.explanation, one.message))) for one in row.failures]
        text = "\n\n".join(told) or row.verdict
        if not row.passes or self._is_strict and row.verdict == "suspect":
            raise _Outside(text)
        if row.verdict == "suspect":
            self.warn(pytest.PytestWarning(f"{row.name} is suspect: {text}"))


class _Outside(Exception):
    pass
