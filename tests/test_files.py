"""Files are written whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
import textwrap

import pytest

from refcnn.errors import FileWriteError
from refcnn.files import atomic_write


def write(path, content):
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def test_makes_and_replaces(tmp_path):
    path = tmp_path / "file.bin"
    for content in (b"first", b"second and longer"):
        write(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file.bin"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    write(tmp_path / "file", b"")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


@pytest.mark.parametrize("error", [ValueError("wrong"), OSError(errno.ENOSPC, "No space left on device")])
def test_an_error_leaves_the_former_file(tmp_path, error):
    path = tmp_path / "file.bin"
    write(path, b"former")
    with pytest.raises(FileWriteError if isinstance(error, OSError) else ValueError) as caught, atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"former" and os.listdir(tmp_path) == ["file.bin"]
    if isinstance(error, OSError):
        assert str(path) in str(caught.value) and "No space left" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "advice", "other"),
    [(errno.ENOSPC, "Free some space", "can be written"), (errno.EACCES, "can be written", "space"),
     (errno.EROFS, "can be written", "space"), (errno.ENOENT, "Make that folder", "space")],
)  # fmt: skip
def test_the_advice_fits_what_went_wrong(tmp_path, number, advice, other):
    with pytest.raises(FileWriteError, match=advice) as caught, atomic_write(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert other not in str(caught.value)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileWriteError, match="none"):
        write(tmp_path / "none" / "file", b"")


def test_a_real_limit_on_the_size(tmp_path):
    """The operating system refuses the write in the middle, as it does on a full disk."""
    path = tmp_path / "file.bin"
    write(path, b"former")
    program = f"""
        import resource, signal
        from refcnn.errors import FileWriteError
        from refcnn.files import atomic_write
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            with atomic_write({str(path)!r}) as temporary:
                temporary.write_bytes(bytes(10_000))
        except FileWriteError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert "could not be written" in done.stdout, done.stderr
    assert path.read_bytes() == b"former" and os.listdir(tmp_path) == ["file.bin"]
