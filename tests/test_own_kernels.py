"""Somebody's own kernels: right ones pass, whatever their order and tiling, and each kind of fault is caught."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from refcnn.cli import main
from refcnn.conformance.bundles.case_file import write_case
from refcnn.conformance.running import checking, faults
from refcnn.conformance.running.job import Job
from refcnn.conformance.subjects import finding, kernel_description, oclgrind, own_kernels
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import DataError

FOLDER = Path(__file__).parent / "own_kernels"
CHECKOUT = Path(__file__).parents[1]
RIGHT, WRONG = (sorted(path.stem for path in (FOLDER / kind).glob("*.cl")) for kind in ("right", "wrong"))

#: Faults that results do not show on every device: what is read is not used, by chance right, or written in time.
SEEN_BY_OCLGRIND = {
    "dense_reads_past_the_end": "Invalid read",
    "dense_adds_at_once": "race",
    "missing_barrier": "race",
    "never_set": "ninitialized",
}
needs_oclgrind = pytest.mark.skipif(oclgrind.library() is None, reason="Oclgrind is not installed")


def row_of(path, device, direction="forward", examples=25, sizes=("small",), tmp_path=None):
    """Run a row of a file of kernels in this process."""
    operation = kernel_description.load(path).operation
    job = Job(operation, direction, None, examples, 1, sizes, str(tmp_path / "case.npz"))
    return checking.Run(own_kernels.specification(path, device), job, lambda entries: None).run()


def test_there_are_as_many_as_were_promised():
    assert len(RIGHT) >= 16 and len(WRONG) >= 10
    assert set(WRONG) >= set(SEEN_BY_OCLGRIND)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(name, opencl_backend, tmp_path):
    path = FOLDER / "right" / f"{name}.cl"
    launches = kernel_description.load(path).launches
    for direction in (one for one in launches if launches[one]):
        row = row_of(path, opencl_backend.name, direction, tmp_path=tmp_path)
        assert row.verdict == "conforms" and row.failure is None, row.failure.message
        assert row.cases >= 20 and row.is_compared


#: Those that read where there may be no memory, which ends the process.
READ_OUTSIDE = {"group_offset", "hard_coded_kernel", "square_images"}
#: What is said where no result need be wrong.
SAID = {
    "skipped_tail": "were never written",
    "relu_sixteen_bits": r"1 of \d+ elements of y were never written",
    "writes_past_the_end": r"wrote outside of y \(float32 \(1, 1, 1, 1\)\): where elements 1 to 7 would lie",
    "relu_in_place": r"changed x \(float32 \(\d+,\)\), which it is given to read",
    "hard_coded_kernel": "not the same",
    "square_images": "elements are wrong|not the same",
}


@pytest.mark.parametrize("name", sorted(set(WRONG) - set(SEEN_BY_OCLGRIND)))
def test_what_is_wrong_is_caught(name, opencl_backend, tmp_path, monkeypatch):
    """Those that may end it in a process of their own."""
    if name in READ_OUTSIDE:
        program = f"""
import json
from pathlib import Path
from refcnn.conformance.running import faults
from tests.test_own_kernels import FOLDER, row_of
faults.MOST = 1
path, folder = FOLDER / "wrong" / "{name}.cl", Path({str(tmp_path)!r})
row = row_of(path, {opencl_backend.name!r}, examples=100, tmp_path=folder)
print(json.dumps([row.verdict, row.failure and row.failure.message]))
"""
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300)
        if done.returncode < 0:
            return
        assert done.returncode == 0, done.stderr
        verdict, message = json.loads(done.stdout.splitlines()[-1])
    else:
        monkeypatch.setattr(faults, "MOST", 1)
        sizes = ("small", "vast") if name == "relu_sixteen_bits" else ("small",)
        path = FOLDER / "wrong" / f"{name}.cl"
        row = row_of(path, opencl_backend.name, examples=100, sizes=sizes, tmp_path=tmp_path)
        verdict, message = row.verdict, row.failure.message
    assert verdict == "wrong", verdict
    # The smallest case is told with the name of the kernels' file.
    assert f"{name}.cl on {opencl_backend.name}" in message
    assert re.search(SAID.get(name, "elements are wrong"), message), message


@needs_oclgrind
@pytest.mark.parametrize("name", SEEN_BY_OCLGRIND)
def test_oclgrind_catches_what_results_do_not_show(name):
    path = FOLDER / "wrong" / f"{name}.cl"
    done = conform("--kernel", path, "--device", "oclgrind", "--seed", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert SEEN_BY_OCLGRIND[name] in done.stdout


@needs_oclgrind
def test_oclgrind_lets_what_is_right_pass(tmp_path):
    program = f"""
from pathlib import Path
from tests.test_own_kernels import FOLDER, RIGHT, kernel_description, row_of
for name in RIGHT:
    path = FOLDER / "right" / (name + ".cl")
    launches = kernel_description.load(path).launches
    for direction in (one for one in launches if launches[one]):
        row = row_of(path, "oclgrind", direction, 4, ("tiny",), Path({str(tmp_path)!r}))
        assert row.verdict == "conforms" and row.cases, (name, row)
"""
    environment = {**os.environ, **oclgrind.environment(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def conform(*arguments):
    """Run the command."""
    command = [sys.executable, "-m", "refcnn", "conform", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300)


def test_a_fault_is_replayed_from_its_bundle(opencl_backend, tmp_path):
    """By its script alone, where local memory is among the arguments; and by the command, with kernels set right."""
    report = tmp_path / "report"
    device = ("--device", opencl_backend.name)
    of_small = "--seed", 1, "--examples", 25
    done = conform("--kernel", FOLDER / "wrong" / "tile_edge.cl", *device, *of_small, "--report", report)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "cases that were drawn are left out by where" in done.stdout, done.stdout
    # Few cases may tell one fault as several.
    bundle = min(path.parent for path in report.glob("*/case.json"))
    assert len(json.loads((bundle / "launches.json").read_text())["launches"]) == 1
    again = subprocess.run([sys.executable, bundle / "repro.py"], capture_output=True, text=True, timeout=100)
    assert again.returncode == 1 and "WRONG" in again.stdout, again.stdout + again.stderr
    right = conform("--kernel", FOLDER / "right" / "conv2d_tiled.cl", *device, "--repro", bundle)
    assert right.returncode == 0 and "All conform." in right.stdout, right.stdout + right.stderr


RELU = """/* refcnn
operation = "relu"

[[forward]]
kernel = "rectify"
arguments = { x = "x", y = "y", size = "x.size" }
global = ["round_up(x.size, 64)"]
local = [64]
*/
__kernel void rectify(__global const float *x, __global float *y, int size)
{
    int i = get_global_id(0);
    if (i < size)
        y[i] = x[i] <= 0 ? 0 : x[i];
}
"""


def written(tmp_path, *changes):
    text = RELU
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "relu.cl"
    path.write_text(text)
    return path


def test_a_case_runs_twice_and_no_more(opencl_backend, tmp_path, monkeypatch):
    """In other memory each time; the repetition of one case in some has nothing to add."""
    device, runs = opencl_backend.name, []
    computed = own_kernels.OwnKernels.computed
    monkeypatch.setattr(own_kernels.OwnKernels, "computed", lambda *given: runs.append(given) or computed(*given))
    row = row_of(written(tmp_path), device, tmp_path=tmp_path)
    assert row.verdict == "conforms" and len(runs) == row.cases + row.random_cases


def test_a_kernel_that_hangs_or_does_not_build_is_said_so(opencl_backend, tmp_path):
    hangs = written(tmp_path, ("if (i < size)", "while (size > 0) y[0] += size;"))
    write_case(tmp_path / "case.npz", "relu", "forward", None, Case((np.ones(3, np.float32),), {}))
    device = ("--device", opencl_backend.name)
    done = conform("--kernel", hangs, *device, "--repro", tmp_path / "case.npz", "--case-limit", 0.6)
    assert done.returncode == 1 and "hung" in done.stdout, done.stdout + done.stderr
    row = row_of(written(tmp_path, ("y[i] =", "z[i] =")), opencl_backend.name, tmp_path=tmp_path)
    assert row.verdict == "did not build" and "relu.cl could not be built" in row.failure.message
    assert "'z'" in row.failure.message and "Traceback" not in row.failure.message


def test_a_file_may_include_others(opencl_backend, tmp_path):
    (tmp_path / "rectified.h").write_text("float rectified(float x)\n{\n    return x <= 0 ? 0 : x;\n}\n")
    path = written(tmp_path, ("*/\n", '*/\n#include "rectified.h"\n'), ("x[i] <= 0 ? 0 : x[i]", "rectified(x[i])"))
    assert row_of(path, opencl_backend.name, tmp_path=tmp_path).verdict == "conforms"
    (tmp_path / "rectified.h").write_text('#include "rectified.h"\n')
    with pytest.raises(DataError, match="includes itself"):
        kernel_description.load(path)


@pytest.mark.parametrize(
    "change, message",
    [
        (("/* refcnn", "/* another"), "no comment that begins"),
        (('operation = "relu"', ""), "says no operation"),
        (('"relu"', '"rellu"'), "no operation 'rellu'.*Did you mean 'relu'"),
        (('operation = "relu"', 'operation = "relu"\nwher = "True"'), "no 'wher'.*Did you mean 'where'"),
        (('operation = "relu"', 'operation = "relu"\nwhere = "x.ndm == 4"'), "where: .* has .ndm"),
        (('operation = "relu"', 'operation = "relu"\noptions = 3'), "options is 3"),
        (('operation = "relu"', 'operation = "relu"\noptions = "-DN={n}"'), "options: .* has 'n'.*There are"),
        (('operation = "relu"', 'operation = "relu"\nscratch = { x = 3 }'), "scratch has 'x'"),
        (('operation = "relu"', "operation = relu"), "Invalid value .at line 2"),
        (("[[forward]]", "[forward]"), r"write \[\[forward\]\] before each"),
        (("[[forward]]", "[[backward]]"), "given a gradient to compute: dx"),
        (("[[forward]]", "[[forwards]]"), "no 'forwards'.*Did you mean 'forward'"),
        (("local = [64]\n", ""), "forward 1 lacks local"),
        (("local =", "locals = 3\nlocal ="), "forward 1 has no 'locals'"),
        (("local = [64]", "local = [8, 8]"), "global has 1 dimensions, but local 2"),
        (("local = [64]", "local = 64"), "a list of 1 to 3 formulas is needed"),
        (("local = [64]", "local = [true]"), "True is no formula"),
        (('kernel = "rectify"', 'kernel = "rectifi"'), "Did you mean 'rectify'"),
        ((', size = "x.size"', ""), "rectify is not given size.*x, y, size"),
        (('size = "x.size"', 'size = "x.size", more = 3'), "rectify has no more.*x, y, size"),
        (('y = "y"', 'y = "z"'), "forward 1: y: the formula 'z' has 'z', which is not known.*There are x, y"),
        (('y = "y"', 'y = "x"'), "is given y, the result"),
        (('size = "x.size"', 'size = "x.size +"'), "the formula 'x.size [+]' cannot be read"),
        (('size = "x.size"', 'size = "max(x.size"'), "cannot be read: .*never closed"),
        (('size = "x.size"', "size = [3]"), "is no formula"),
    ],
)
def test_a_description_that_cannot_be_used_is_one_clear_error(change, message, tmp_path):
    path = written(tmp_path, change)
    with pytest.raises(DataError, match=message) as raised:
        kernel_description.load(path)
    assert "\n" not in str(raised.value) and str(path) in str(raised.value)
    done = CliRunner().invoke(main, ["conform", "--kernel", str(path)])
    assert done.exit_code == 2 and done.output.startswith("Error: ") and "Traceback" not in done.output


def test_a_file_that_is_none_is_one_clear_error(tmp_path):
    path = tmp_path / "relu.cl"
    for content, message in ((None, "does not exist"), (b"/* refcnn \xff */", "utf-8"), (b"", "no comment")):
        if content is not None:
            path.write_bytes(content)
        done = CliRunner().invoke(main, ["conform", "--kernel", str(path)])
        assert done.exit_code == 2 and message in done.output, done.output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--operation", "dense"], "compute relu, not dense"),
        (["--device", "reference"], "kernels run on OpenCL devices, not on reference"),
        (["--variant", "cpu"], "leave it out with --kernel"),
    ],
)
def test_options_that_do_not_go_with_kernels_are_refused(arguments, message, tmp_path):
    done = CliRunner().invoke(main, ["conform", "--kernel", str(written(tmp_path)), *arguments])
    assert done.exit_code == 2 and message in done.output, done.output


@pytest.mark.parametrize(
    "change, message",
    [
        (('"round_up(x.size, 64)"', '"x.size"'), r"is \(1,\), which is no multiple of its local size \(64,\)"),
        (('"round_up(x.size, 64)"', '"64 * x.shape[7]"'), "cannot be computed where x.shape == .* out of range"),
        (('"round_up(x.size, 64)"', '"64 // (x.size - x.size)"'), "cannot be computed .*by zero"),
        (('"round_up(x.size, 64)"', '"-64"'), "a whole number of at least 0"),
        (('size = "x.size"', 'size = "x.size * 4294967296"'), "takes int32"),
        (('size = "x.size"', 'size = "x"'), "the array x, but takes int32"),
        (('size = "x.size"', 'size = "x.shape"'), "no number"),
        (('y = "y"', 'y = "y.size"'), "takes an array of float32"),
        (("__global float *y", "__global double *y"), "takes an array of float64, but y is float32"),
        (("local = [64]", "local = [1048576]"), "no multiple of its local size"),
    ],
)
def test_a_launch_that_cannot_be_made_is_said_with_its_case(change, message, opencl_backend, tmp_path):
    changes = [change] if 'y = "y.size"' not in change[1] else [change, ("[[forward]]", SECOND)]
    row = row_of(written(tmp_path, *changes), opencl_backend.name, tmp_path=tmp_path)
    assert row.verdict == "failed" and re.search(message, row.failure.message), row
    assert "Traceback" not in row.failure.message and row.failure.case is not None


#: A launch that is given the result, where the other one is not.
SECOND = """[[forward]]
kernel = "rectify"
arguments = { x = "x", y = "y", size = "x.size" }
global = ["round_up(x.size, 64)"]
local = [64]

[[forward]]"""


def test_kernels_that_are_made_for_no_case_that_is_drawn_were_not_tested(opencl_backend, tmp_path):
    path = written(tmp_path, ('operation = "relu"', 'operation = "relu"\nwhere = "x.ndim == 17"'))
    done = conform("--kernel", path, "--device", opencl_backend.name, "--examples", 1)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(r"([\d,]+) of \1 cases that were drawn are left out by where = 'x.ndim == 17'", done.stdout)


def test_the_example_in_the_readme_passes(opencl_backend, tmp_path):
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```c\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    path = tmp_path / "product.cl"
    path.write_text(example, encoding="utf-8")
    done = conform("--kernel", path, "--device", opencl_backend.name, "--examples", 20)
    assert done.returncode == 0 and "All conform." in done.stdout, done.stdout + done.stderr


def test_every_device_and_oclgrind_are_meant_by_all():
    path = FOLDER / "right" / "relu_vectors.cl"
    found = finding.of_kernels(path, ["all", "oclgrind"] if oclgrind.library() else ["all"])
    assert len(set(found)) == len(found) > 0
    assert [one for one in found if one.endswith("oclgrind")] == found[-1:] * bool(oclgrind.library())
    assert all(finding.find(one).specification == one for one in found)
