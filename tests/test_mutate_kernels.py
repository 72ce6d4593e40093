"""The tool that plants faults in kernels: each kind makes exactly the change it says, and the checks notice."""

import contextlib
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def tools_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


def wrap(*lines):
    body = "\n".join(f"    {line}" for line in lines)
    return f"__kernel void f(__global float *y, int s_h, int s_w, int height, int width, int n)\n{{\n{body}\n}}\n"


def faults(kind, *lines):
    """What the lines of a kernel become, one text for each fault of a kind."""
    from kernel_faults import mutants

    source = wrap(*lines)
    head, tail = source.split(wrap(*lines).splitlines()[2])[0], "\n}\n"
    found = []
    for mutant in mutants("f.cl", source):
        assert mutant.source != source
        assert mutant.file == "f.cl" and mutant.function == "f"
        assert mutant.source.startswith(head) and mutant.source.endswith(tail)
        if mutant.kind == kind:
            found.append(" ".join(mutant.source[len(head) : -len(tail)].split()))
    return found


@pytest.mark.parametrize(
    ("kind", "lines", "expected"),
    [
        ("comparison", ["if (n < 3) y[0] = 1;"], ["if (n <= 3) y[0] = 1;"]),
        ("comparison", ["if (n == 3) y[0] = 1;"], ["if (n != 3) y[0] = 1;"]),
        ("bound", ["if (n < width) y[0] = 1;"], ["if (n < -1 + width) y[0] = 1;"]),
        ("bound", ["if (n >= width) y[0] = 1;"], ["if (n >= -1 + width) y[0] = 1;"]),
        ("bound", ["y[0] = max(0, n);"], ["y[0] = max(1 + 0, n);"]),
        (
            "bound",
            ["for (int i = 0; i < n; i++) y[i] = 1;"],
            ["for (int i = 0 + 1; i < n; i++) y[i] = 1;", "for (int i = 0; i < -1 + n; i++) y[i] = 1;"],
        ),
        ("axis", ["y[n * s_h] = 1;"], ["y[n * s_w] = 1;"]),
        ("axis", ["y[get_global_id(0)] = 1;"], ["y[get_global_id(1)] = 1;"]),
        ("axis", ["int top = n;"], []),
        ("extent", ["y[n * width] = 1;"], ["y[n * height] = 1;"]),
        ("sign", ["y[n + 1] = -y[0];"], ["y[n - 1] = -y[0];", "y[n + 1] = y[0];"]),
        ("sign", ["n++;"], []),
        ("sign", ["y[0] = (float)-n;"], ["y[0] = (float)n;"]),
        ("accumulation", ["y[0] += 1;"], ["y[0] = 1;"]),
        ("assignment", ["y[0] = 1;", "const int m = n;"], ["y[0] += 1; const int m = n;"]),
        ("constant", ["y[0] = 2.0f;"], ["y[0] = 2.002f;"]),
        ("constant", ["y[0] = 0.0f;"], ["y[0] = 0.001f;"]),
        ("constant", ["n ^= 0xBB67AE85u;"], ["n ^= 0xBB67AE86u;"]),
        ("test", ["if (n < 3) return;"], ["if (0) return;"]),
        ("test", ["if (n < 3) y[0] = 1;"], ["if (1) y[0] = 1;"]),
        ("test", ["if (n > 1 && n < 3) y[0] = 1;"], ["if (1 && n < 3) y[0] = 1;", "if (n > 1 && 1) y[0] = 1;"]),
        (
            "test",
            ["if ((n > 1) | (n < 3)) y[0] = 1;"],
            ["if (1) y[0] = 1;", "if (0 | (n < 3)) y[0] = 1;", "if ((n > 1) | 0) y[0] = 1;"],
        ),
        ("test", ["y[0] = n < 3 ? y[1] : 2;"], ["y[0] = 1 ? y[1] : 2;"]),
        # What is 1 already is no fault.
        ("test", ["y[0] = n & 1 ? y[1] : 2;"], ["y[0] = 1 & 1 ? y[1] : 2;"]),
        ("tile", ["for (int i = 0; i < ROWS; i++) y[i] = 1;"], ["for (int i = 0; i < (ROWS - 1); i++) y[i] = 1;"]),
        (
            "barrier",
            ["y[0] = 1;", "barrier(CLK_LOCAL_MEM_FENCE);", "y[1] = 2;"],
            ["y[0] = 1; ; y[1] = 2;", "y[0] = 1; y[1] = 2; barrier(CLK_LOCAL_MEM_FENCE);"],
        ),
        (
            "barrier",
            ["while (n) {", "y[0] = 1;", "barrier(CLK_LOCAL_MEM_FENCE);", "}"],
            ["while (n) { y[0] = 1; ; }", "while (n) { y[0] = 1; } barrier(CLK_LOCAL_MEM_FENCE);"],
        ),
    ],
)
def test_a_fault_changes_what_its_kind_says(kind, lines, expected):
    assert faults(kind, *lines) == expected


@pytest.mark.parametrize(
    "text",
    [
        "// a < b, 0.5f",
        "/* s_h += 1;\n   barrier(X); */",
        'printf("%d < %d + s_h");',
        "#if WIDTH == 16",
        "#pragma unroll",
        "__attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1)))",
    ],
)
def test_comments_strings_and_directives_stay(text):
    from kernel_faults import mutants

    assert mutants("f.cl", f"{text}\n") == []


def test_the_body_of_a_macro_is_code():
    from kernel_faults import mutants

    (mutant,) = mutants("f.cl", "#define ITEMS (4 * GROUP_X)\n")
    assert mutant.mutated == "#define ITEMS (4 * (GROUP_X - 1))"


def test_every_kind_occurs_in_the_kernels_and_every_fault_is_told_from_the_others():
    from kernel_faults import KINDS, mutants
    from mutate_kernels import KERNELS

    found = [mutant for path in KERNELS.glob("*.cl") for mutant in mutants(path.name, path.read_text())]
    assert {mutant.kind for mutant in found} == set(KINDS)
    assert len({mutant.identity for mutant in found}) == len(found)


def test_plan():
    from mutate_kernels import plan

    assert plan("softmax") == [("log_softmax", None), ("softmax", None)]
    assert plan("softmax_cross_entropy") == [("softmax_cross_entropy", None)]
    assert plan("conv2d") == [("conv2d", "plain"), ("conv_transpose2d", "plain")]
    assert plan("dense") == [("dense", "plain"), ("matmul", "plain")]
    assert plan("average_pool2d_cpu") == [("average_pool2d", "cpu")]
    cpu, gpu = (
        [
            *(("conv2d", variant), ("conv2d", f"{variant}+relu"), ("conv2d", f"{variant}+clip")),
            *(("conv2d", f"{variant}+batch_normalization"), ("conv_transpose2d", variant)),
            *(("dense", variant), ("dense", f"{variant}+relu"), ("dense", f"{variant}+clip"), ("matmul", variant)),
        ]
        for variant in ("cpu", "gpu")
    )
    assert plan("matrix_product_gpu") == gpu
    assert sorted(plan("matrix_product")) == sorted([*cpu, *gpu[:-1]])
    # What files include is run by those that run them.
    assert {*cpu, ("conv2d", "winograd_2x2"), ("conv2d", "winograd_4x4")} <= set(plan("transpose"))


def kernel_stems():
    from mutate_kernels import kernel_files

    return {name.removesuffix(".cl") for name in kernel_files()}


def test_every_file_is_run_by_operations_that_there_are():
    from mutate_kernels import plan

    from refcnn.conformance.subjects.base import operations

    stems = kernel_stems()
    assert "conv2d" in stems
    for stem in stems:
        found = {operation for operation, _ in plan(stem)}
        assert found and found <= set(operations()), stem


def test_who_is_said_to_run_a_file_runs_it(opencl_backend):
    from mutate_kernels import Cases, plan

    from refcnn.conformance.judging import composition

    cases, said = Cases(examples=12, seed=0), {}
    for stem in kernel_stems():
        for pair in plan(stem):
            said.setdefault(pair, set()).add(stem)
    for (operation, variant), stems in said.items():
        for case, _ in cases.get(operation, "tiny"):
            if not stems:
                break
            stems -= launched(opencl_backend.device, operation, variant, case)
            kernels, followers = composition.split(variant)
            if not composition.has_gradient(followers):
                # Gradients are those of the kernels without what is fused.
                stems -= launched(opencl_backend.device, operation, kernels, case)
    assert not any(said.values()), {pair: stems for pair, stems in said.items() if stems}


def launched(device, operation, variant, case):
    """Return the stems of the files that a case launches on a device, and of those which these include."""
    from refcnn.conformance.bundles import bundle
    from refcnn.conformance.judging import composition

    found = set()
    for direction in ("forward", "backward") if case.dy is not None else ("forward",):
        with contextlib.suppress(composition.NoSuchResult):
            capture, _ = bundle.capture_case(device, operation, direction, variant, case, execute=False)
            found |= set(capture.sources)
    texts = kernel_texts()
    included = {stem: re.findall(r'^#include "(\w+)\.cl"$', text, re.MULTILINE) for stem, text in texts.items()}
    for _ in included:
        found |= {one for stem in found for one in included[stem]}
    return found


@functools.cache
def kernel_texts():
    from mutate_kernels import KERNELS

    return {path.stem: path.read_text(encoding="utf-8") for path in KERNELS.glob("*.cl")}


def test_planted_faults():
    """In a process of its own: the bench forks, and what forks from one that used OpenCL inherits its kernels."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/mutation_bench.py"],
        cwd=TOOLS.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_survivors_are_explained_and_those_that_no_longer_apply_are_named(tmp_path, capsys):
    from kernel_faults import mutants
    from mutate_kernels import Result, read_survivors, report

    path = tmp_path / "survivors.toml"
    path.write_text(
        "".join(
            '[[survivor]]\nfile = "f.cl"\nkind = "sign"\nfunction = "f"\nline = "y[0] = n + 1;"\n'
            f'mutated = "{mutated}"\nreason = "n is 0"\n'
            for mutated in ("y[0] = n - 1;", "y[0] = n * 1;")
        )
    )
    listed = read_survivors(path)
    (mutant,) = [mutant for mutant in mutants("f.cl", wrap("y[0] = n + 1;")) if mutant.kind == "sign"]
    assert listed[mutant.identity] == "n is 0"
    assert not report([(mutant, Result("explained"))], listed, [mutant], 1)
    told = capsys.readouterr().out
    assert "n * 1" in told and "no such fault" in told
    del listed[next(identity for identity in listed if identity != mutant.identity)]
    assert report([(mutant, Result("explained"))], listed, [mutant], 1)
    assert not report([(mutant, Result("killed"))], listed, [mutant], 1)
    assert not report([(mutant, Result("survived"))], {}, [mutant], 1)


def test_a_survivor_without_a_reason_is_refused(tmp_path):
    from mutate_kernels import read_survivors

    path = tmp_path / "survivors.toml"
    path.write_text('[[survivor]]\nfile = "f.cl"\n')
    with pytest.raises(ValueError, match="entry 1 has no kind, function, line, mutated, reason"):
        read_survivors(path)


def test_an_unknown_file_lists_those_known(capsys):
    import mutate_kernels

    assert mutate_kernels.main(["--file", "conv3d"]) == 2
    told = capsys.readouterr().err
    assert "conv3d.cl" in told and "conv2d_gpu.cl" in told


def test_list_needs_no_device(capsys):
    import mutate_kernels

    assert mutate_kernels.main(["--file", "sgd", "--kind", "sign", "--limit", "2", "--list"]) == 0
    told = capsys.readouterr().out
    assert "2 mutants" in told and told.count("sgd.cl:") == 2
