"""Which devices are found and taken, what runtimes need for it, and what a forked process gets of them."""

import os
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

from refcnn.errors import BackendError
from refcnn.opencl.runtime import finding, icd, trial

needs_device = pytest.mark.skipif(not finding.usable(), reason="no usable OpenCL device; see the README")


@pytest.fixture(params=[one.name for one in finding.usable()])
def each_device(request):
    return next(one for one in finding.usable() if one.name == request.param)


def test_find_takes_numbers_and_parts_of_names(each_device):
    assert finding.find(each_device.platform_index, each_device.device_index) is each_device
    assert finding.find(str(each_device.platform_index), str(each_device.device_index)) is each_device
    by_version = finding.find(each_device.platform_version.upper(), each_device.device_name[2:].lower())
    assert by_version.platform_version == each_device.platform_version


@needs_device
def test_an_unknown_device_is_an_error_that_lists_those_present():
    with pytest.raises(BackendError, match="opencl:no such platform:0") as caught:
        finding.find("no such platform", 0)
    for one in finding.usable():
        assert one.name in str(caught.value) and one.device_name in str(caught.value)
    with pytest.raises(BackendError):
        finding.find(finding.usable()[0].platform_index, 99)


def test_without_any_device_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(finding, "available", list)
    for ask in (finding.best, lambda: finding.find(0, 0)):
        with pytest.raises(BackendError, match=r'pip install "refcnn\[pocl\]"'):
            ask()


class Described:
    """A device that is only described, and what its trial finds."""

    device_name = "Some device"

    def __init__(self, kind, platform_name, platform_version="OpenCL 3.0", problem=None):
        self.kind, self.platform_name, self.platform_version = kind, platform_name, platform_version
        self.name, self.is_simulator, self.verdict = platform_name, platform_name == "Oclgrind", trial.Verdict(problem)


@pytest.fixture
def present(monkeypatch):
    """Let there be described devices and no others."""
    monkeypatch.setattr(trial, "verdicts", lambda devices: [device.verdict for device in devices])
    return lambda *devices: monkeypatch.setattr(finding, "available", lambda: list(devices))


def test_the_best_device_is_a_gpu_then_intels_runtime_then_the_newest_pocl(present):
    ranked = [
        Described("gpu", "NVIDIA CUDA"),
        Described("accelerator", "Some board"),
        Described("cpu", "Intel(R) OpenCL"),
        Described("cpu", "Portable Computing Language", "OpenCL 3.0 PoCL 10.0"),
        Described("cpu", "Portable Computing Language", "OpenCL 3.0 PoCL 3.1+debian"),
        Described("cpu", "Portable Computing Language", "OpenCL 3.0 PoCL 3.0-rc2"),
        Described("cpu", "Another runtime"),
    ]
    simulator = Described("gpu", "Oclgrind")
    while ranked:
        present(simulator, *reversed(ranked))
        assert finding.best() is ranked.pop(0)
    present(simulator)
    with pytest.raises(BackendError, match="simulator"):
        finding.best()


def test_a_device_that_failed_its_trial_is_passed_over_and_named_with_the_cause(present):
    broken = Described("gpu", "A GPU", problem="builds nothing: no compiler")
    late = Described("cpu", "An old CPU", problem="hangs")
    taken = Described("accelerator", "Some board")
    present(late, broken, taken)
    assert finding.best() is taken and finding.usable() == [taken]
    (remark,) = finding.passed_over(taken)
    assert "A GPU" in remark and "no compiler" in remark
    assert len(finding.remarks()) == 2
    present(broken, late)
    with pytest.raises(BackendError, match="A GPU.*no compiler.*An old CPU.*hangs.*pip install"):
        finding.best()


def test_of_several_devices_that_fit_a_name_one_that_passed_is_taken(present):
    broken, good = (Described("cpu", f"PoCL {place}", problem=place) for place in ("builds nothing", None))
    for number, one in enumerate((broken, good)):
        one.platform_index, one.device_index = number, 0
    present(broken, good)
    assert finding.find("pocl") is good
    assert finding.find("pocl", tried=False) is broken
    with pytest.raises(BackendError, match="PoCL builds nothing.*is unusable: it builds nothing"):
        finding.find(0)


def _fake_environment(tmp_path, monkeypatch, system_entries):
    system, cache, library = tmp_path / "system", tmp_path / "cache", tmp_path / "prefix" / "lib" / "libintelocl.so"
    system.mkdir()
    library.parent.mkdir(parents=True)
    library.write_bytes(b"a library")
    for name, text in system_entries.items():
        (system / name).write_text(text)
    monkeypatch.setattr(icd, "SYSTEM_VENDORS", system)
    monkeypatch.setattr(icd, "INTEL_DISTRIBUTION", "a-distribution-that-is-not-installed")
    monkeypatch.setattr(icd.sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(cache))
    monkeypatch.delitem(sys.modules, "pyopencl", raising=False)
    for name in ("OCL_ICD_VENDORS", "POCL_CACHE_DIR", "PYOPENCL_NO_CACHE"):
        # So that it is put back as it was at the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return cache, library


def test_intels_runtime_is_added_to_the_systems(tmp_path, monkeypatch):
    entries = {"pocl.icd": "libpocl.so.2\n", "broken.icd": "/no/such/libintelocl.so\n"}
    cache, library = _fake_environment(tmp_path, monkeypatch, entries)
    icd.prepare_environment()
    (folder,) = cache.iterdir()
    assert os.environ["OCL_ICD_VENDORS"] == str(folder)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert made.pop("refcnn-intel.icd").strip() == str(library)
    assert made == entries
    os.environ.pop("OCL_ICD_VENDORS")
    icd.prepare_environment()
    assert os.environ["OCL_ICD_VENDORS"] == str(folder) and list(cache.iterdir()) == [folder]


def test_a_damaged_folder_of_runtimes_is_made_again(tmp_path):
    entries = {"a.icd": b"liba.so\n"}
    folder = icd.write_vendors(entries, tmp_path)
    (folder / "a.icd").write_bytes(b"")
    assert icd.write_vendors(entries, tmp_path) == folder
    assert (folder / "a.icd").read_bytes() == b"liba.so\n" and list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("obstacle", ["set by the user", "pyopencl imported", "no runtime", "known"])
def test_the_environment_is_left_alone(tmp_path, monkeypatch, obstacle):
    cache, library = _fake_environment(tmp_path, monkeypatch, {})
    expected = None
    if obstacle == "set by the user":
        expected = "/my/vendors"
        monkeypatch.setenv("OCL_ICD_VENDORS", expected)
    elif obstacle == "pyopencl imported":
        monkeypatch.setitem(sys.modules, "pyopencl", icd)
    elif obstacle == "no runtime":
        library.unlink()
        monkeypatch.setattr(icd.site, "USER_BASE", None)
    else:
        (tmp_path / "system" / "intel.icd").write_text(f"{library}\n")
    icd.prepare_environment()
    assert os.environ.get("OCL_ICD_VENDORS") == expected
    assert not cache.exists()


def test_without_a_cache_a_temporary_folder_names_intels_runtime(tmp_path, monkeypatch):
    cache, library = _fake_environment(tmp_path, monkeypatch, {"pocl.icd": "libpocl.so.2\n"})
    cache.write_text("a file where the folder should be")
    assert icd.prepare_environment() == []
    folder = Path(os.environ["OCL_ICD_VENDORS"])
    assert {path.name for path in folder.iterdir()} == {"pocl.icd", "refcnn-intel.icd"}
    monkeypatch.setattr(tempfile, "tempdir", str(cache))
    monkeypatch.delenv("OCL_ICD_VENDORS")
    (problem,) = (problem for problem in icd.prepare_environment() if "Intel" in problem)
    assert str(cache) in problem
    assert "OCL_ICD_VENDORS" not in os.environ


@pytest.fixture
def pocls_environment(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "pyopencl", raising=False)
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    for name in ("POCL_CACHE_DIR", "PYOPENCL_NO_CACHE", "XDG_CACHE_HOME"):
        # So that it is put back as it was at the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def test_pocl_keeps_the_cache_of_its_own_where_it_can_be_written(pocls_environment):
    assert icd.prepare_environment() == []
    assert "POCL_CACHE_DIR" not in os.environ and list(pocls_environment.iterdir()) == []


@pytest.mark.parametrize("obstacle", ["home is a file", "no home", "full disk", "cache home is a file"])
def test_pocl_is_given_a_cache_where_it_has_none(obstacle, pocls_environment, monkeypatch, tmp_path):
    home = pocls_environment
    if obstacle == "home is a file":
        home.rmdir()
        home.write_text("")
    elif obstacle == "no home":
        monkeypatch.delenv("HOME")
    elif obstacle == "full disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=4096))
    else:
        (tmp_path / "cache").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert icd.prepare_environment() == []
    given = os.environ["POCL_CACHE_DIR"]
    if obstacle == "no home":
        # The folder that PoCL takes then is everybody's.
        assert Path(given).parent != Path("/tmp/pocl")
    else:
        assert Path(given).is_dir()


def test_a_cache_of_pocls_that_the_user_names_and_that_cannot_be_written_is_said(pocls_environment, monkeypatch):
    (pocls_environment / "file").write_text("")
    monkeypatch.setenv("POCL_CACHE_DIR", str(pocls_environment / "file" / "cache"))
    (problem,) = icd.prepare_environment()
    assert str(pocls_environment / "file") in problem and "POCL_CACHE_DIR" in problem
    assert os.environ["POCL_CACHE_DIR"] == str(pocls_environment / "file" / "cache")


@needs_device
@pytest.mark.parametrize("home", ["a file", "a folder that cannot be written", "unset"])
def test_no_device_is_lost_where_home_cannot_be_written(home, tmp_path):
    code = "from refcnn.opencl.runtime import finding; print(*(one.name for one in finding.usable()), sep='\\n')"
    environment = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "HOME")}
    if home == "a file":
        (tmp_path / "home").write_text("")
        environment["HOME"] = str(tmp_path / "home")
    elif home == "a folder that cannot be written":
        if not Path("/proc/self").exists():
            pytest.skip("needs a folder that not even root can write to")
        environment["HOME"] = "/proc"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=True
    )
    assert done.stdout.split() == [one.name for one in finding.usable()]
    assert done.stderr == ""


FORK = """
import os, sys
import numpy as np
from refcnn import backend
from refcnn.errors import BackendError
from refcnn.opencl.runtime import finding

name, used = sys.argv[1:]
if used == "used":
    backend.find(name).array([1.0])
else:
    finding.available()
child = os.fork()
if child == 0:
    try:
        backend.find(name).array([1.0])
    except BackendError as error:
        print(error, flush=True)
        os._exit(7)
    os._exit(0)
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("parent computes", backend.find(name).to_host(backend.find(name).array([2.0])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("used", ["used", "listed"])
def test_a_forked_child_gets_an_error_that_says_spawn(each_device, used):
    """PoCL's devices wait for ever there."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, each_device.name, used], capture_output=True, text=True, timeout=60, check=True
    )
    assert "spawn" in done.stdout and "child ended with 7" in done.stdout
    assert "parent computes [2.]" in done.stdout


SPAWN = """
import multiprocessing, sys
from refcnn import backend

def double(name):
    found = backend.find(name)
    y, _ = found.operation("relu").forward(found.array([-1.0, 2.0]))
    return found.to_host(y).tolist()

if __name__ == "__main__":
    double(sys.argv[1])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(double, sys.argv[1:]))
"""


def test_a_spawned_child_computes(each_device, tmp_path):
    """What the error of a forked one advises works."""
    (tmp_path / "program.py").write_text(SPAWN)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", each_device.name],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "[[0.0, 2.0]]"
