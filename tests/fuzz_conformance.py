"""Files of conformance and of the choice of kernels, and how they are read: for :mod:`tests.fuzz`."""

import contextlib
import hashlib
import json

import numpy as np

from . import mutants


def case():
    from refcnn.conformance.theory.strategies import Case

    arrays = (
        np.arange(size, dtype=np.float32).reshape(shape) / 7
        for size, shape in ((32, (1, 2, 4, 4)), (18, (1, 2, 3, 3)), (1, (1, 1, 1, 1)), (9, (1, 1, 3, 3)))
    )
    x, w, b, dy = arrays
    return Case((x, w, b), {"stride": (2, 2), "padding": (1, 1, 2, 2), "dilation": (1, 1), "groups": 1}, dy)


def write_case(folder):
    from refcnn.conformance.bundles.case_file import write_case
    from refcnn.conformance.theory.strategies import Case

    dropout = Case(
        (np.ones((2, 3), np.float32),), {"ratio": 0.5, "seed": 2**63, "stream": 1}, np.ones((2, 3), np.float32)
    )
    write_case(folder / "conv2d.npz", "conv2d", "backward", "gpu", case())
    write_case(folder / "dropout.npz", "dropout", "forward", None, dropout)
    return [folder / "conv2d.npz", folder / "dropout.npz"]


def read_case(path):
    from refcnn.conformance.running import runner

    runner.saved_case(path)


def write_bundle(folder):
    from refcnn.conformance.bundles import bundle

    answers = bundle.expected("conv2d", "forward", case())
    results = {name: (None, *entries) for name, entries in answers.items()}
    bundle.write_bundle(
        folder / "bundle",
        operation="conv2d",
        direction="forward",
        variant=None,
        case=case(),
        results=results,
        device={"specification": "reference"},
        message="found",
    )
    return [folder / "bundle" / name for name in ("case.json", "arrays.npz", "SHA256SUMS")]


def prepare_bundle(path, random):
    """Let most digests be right again, so that what they stand for is read."""
    from refcnn.conformance.bundles import case_file

    if path.name != case_file.DIGESTS_FILE and random.randrange(4):
        (path.parent / case_file.DIGESTS_FILE).write_text(case_file.digests(path.parent))


def mutate_bundle(content, random, path):
    if path.name == "case.json":
        return mutants.of_json(content, random)
    if path.name == "arrays.npz":
        return mutants.of_npz(content, random)
    lines = content.decode().splitlines()
    names = (
        "/proc/kmsg",
        "/dev/zero",
        "../../secret",
        "/proc/self/mem",
        "arrays.npz/x",
        ".",
        "a\0b",
        "x" * 5000,
        "\ud800",
    )
    place = random.randrange(len(lines))
    lines[place] = lines[place][: random.choice((0, 3, 64, 66))] + random.choice(names)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def write_report(folder):
    from refcnn.conformance.reports.results import BINS, DeviceReport, Failure, Report, Row

    failure = Failure("wrong", {"inputs": ["x"], "attributes": {"stride": [1, 2]}, "dy": None}, "bundle", None)
    rows = [
        Row(
            *("conv2d", "forward", "gpu", "wrong", 7, float("inf"), 2.5, 0.75, 8, 0.5),
            *([1] * (BINS + 1), {"edge": 3}, failure),
        ),
        Row("relu", "forward"),
    ]
    device = DeviceReport("opencl:0:0", "GPU", "CL", "1.0", {"pyopencl": "2024"}, "-cl", True, rows)
    report = Report("0.1", "2026-03-01T10:00:00+00:00", {"machine": "x"}, 3, "quick", 100, [device])
    report.save(folder / "report.json")
    return [folder / "report.json"]


def read_report(path):
    from refcnn.conformance.reports import html, merge

    reports = merge.load([path])
    merge.render_merged(merge.merge(reports), path.with_name("merged.html"))
    html.render(reports[0], path.with_name("report.html"))


def write_faults(folder):
    entry = {
        "id": "one",
        "operation": "relu",
        "direction": "forward",
        "device": "GPU",
        "driver": "1.*",
        "condition": "any",
        "link": "https://example.org",
        "seen": "it",
    }
    entries = [entry, entry | {"id": "two", "variant": "gpu"}]
    lines = [line for one in entries for line in ["[[fault]]", *(f"{name} = {value!r}" for name, value in one.items())]]
    (folder / "faults.toml").write_text("\n".join(lines))
    return [folder / "faults.toml"]


def read_faults(path):
    from refcnn.conformance.running import known_faults

    device = {"name": "GPU", "platform": "CL", "driver": "1.0"}
    watch = known_faults.Watch(known_faults.load(path), device, "relu", "forward", "gpu")
    watch.explain(case(), "found")


def write_tuning(folder):
    from refcnn.opencl.convolution import tuning

    tuning.record("device", {"conv2d forward": "plain", "conv2d": "gpu"}, folder / "tuning.json")
    return [folder / "tuning.json"]


def prepare_tuning(path, random):
    """Let most digests be right again."""
    with contextlib.suppress(Exception):
        content = json.loads(path.read_bytes())
        if random.randrange(4):
            devices = json.dumps(content["devices"], sort_keys=True)
            content["digest"] = hashlib.sha256(devices.encode()).hexdigest()
            path.write_text(json.dumps(content))


def read_tuning(path):
    from refcnn.opencl.convolution import tuning

    for choices in tuning.load(path).values():
        assert all(isinstance(name, str) for name in choices.values())
