"""``tools/as_processor``: programs take this processor for another."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "as_processor"
CPU = Path("/proc/cpuinfo")

pytestmark = pytest.mark.skipif(
    not TOOL.exists() or shutil.which("cc") is None or not CPU.exists() or "cpuid_fault" not in CPU.read_text(),
    reason="needs a checkout, a C compiler and a processor whose CPUID a program may answer",
)

#: Prints the vendor that CPUID names, by a few bytes of machine code.
VENDOR = """
import ctypes, mmap
code = bytes([0x53, 0x31, 0xC0, 0x31, 0xC9, 0x0F, 0xA2, 0x89, 0x1F, 0x89, 0x57, 4, 0x89, 0x4F, 8, 0x5B, 0xC3])
page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
vendor = ctypes.create_string_buffer(12)
ctypes.CFUNCTYPE(None, ctypes.c_char_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))(vendor)
print(vendor.raw.decode())
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    def run(*arguments):
        return subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=60)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if "does not let CPUID be answered" in run("zen3", "true").stderr:
        pytest.skip("the system does not let a program answer CPUID")
    return run


def test_the_processor_is_another_in_all_processes(run):
    assert run("zen3", sys.executable, "-c", VENDOR).stdout == "AuthenticAMD\n"
    child = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {VENDOR!r}]))"
    assert run("zen4", sys.executable, "-c", child).stdout == "AuthenticAMD\n"


def test_a_fault_of_the_program_still_ends_it(run):
    crash = "import ctypes, faulthandler; faulthandler.enable(); ctypes.string_at(0)"
    assert run("zen3", sys.executable, "-c", crash).returncode == -11


@pytest.mark.parametrize("arguments", [(), ("zen3",), ("zen9", "true")])
def test_what_is_lacking_is_said(run, arguments):
    done = run(*arguments)
    assert done.returncode == 2 and "zen2, zen3, zen4, zen5" in done.stderr
