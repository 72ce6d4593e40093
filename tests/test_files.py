"""Files are written whole or not at all."""

import concurrent.futures
import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time

import pytest

from refcnn.errors import FileWriteError
from refcnn.files import atomic_folder, atomic_write, check_writable

from . import small_run


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


def test_threads_that_write_at_once_leave_the_permissions_of_new_files_alone(tmp_path, monkeypatch):
    """The umask is the process's, and can only be read by setting it."""
    set_umask = os.umask
    expected = set_umask(0o027)

    def slow(mask):
        former = set_umask(mask)
        time.sleep(0.005)
        return former

    try:
        monkeypatch.setattr(os, "umask", slow)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: write(tmp_path / str(number), b""), range(16)))
        monkeypatch.undo()
        left = set_umask(0o027)
        assert left == 0o027
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
    finally:
        set_umask(expected)


@pytest.mark.parametrize("error", [ValueError("wrong"), OSError(errno.ENOSPC, "No space left on device")])
def test_an_error_leaves_the_former_file(tmp_path, error):
    path = tmp_path / "file.bin"
    write(path, b"former")
    with (
        pytest.raises(FileWriteError if isinstance(error, OSError) else ValueError) as caught,
        atomic_write(path) as temporary,
    ):
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"former" and os.listdir(tmp_path) == ["file.bin"]
    if isinstance(error, OSError):
        assert str(path) in str(caught.value) and "No space left" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "advice", "other"),
    [
        (errno.ENOSPC, "Free some space", "can be written"),
        (errno.EACCES, "can be written", "space"),
        (errno.EROFS, "can be written", "space"),
        (errno.ENOENT, "Make that folder", "space"),
    ],
)
def test_the_advice_fits_what_went_wrong(tmp_path, number, advice, other):
    with pytest.raises(FileWriteError, match=advice) as caught, atomic_write(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert other not in str(caught.value)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileWriteError, match="none"):
        write(tmp_path / "none" / "file", b"")


def test_what_can_be_written_is_left_as_it_is(tmp_path):
    path = tmp_path / "file.bin"
    check_writable(path)
    assert os.listdir(tmp_path) == []
    write(path, b"former")
    check_writable(path)
    assert os.listdir(tmp_path) == ["file.bin"] and path.read_bytes() == b"former"
    check_writable(tmp_path / "new" / "file.bin", make_folder=True)
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.parametrize("name", [".", "none/file", "file/inside"])
def test_what_cannot_be_written_is_found_out(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileWriteError, match="cannot be written"):
        check_writable(tmp_path / name)


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


# Dies, or waits for a line, while two files and a folder are half written.
HALF_WRITTEN = """
    import os, signal, sys
    from refcnn.files import atomic_folder, atomic_write
    def pause():
        print("half", flush=True)
        sys.stdin.readline() or os.kill(os.getpid(), signal.SIGKILL)
    with atomic_write("features_a-\\u03b2.png") as one, atomic_write("x.onnx") as two, atomic_folder("bundle") as three:
        one.write_text("picture")
        two.write_text("model")
        (three / "case.json").write_text("case")
        pause()
"""


def half_written(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HALF_WRITTEN)],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=small_run.environment(),
    )
    assert process.stdout.readline() == b"half\n"
    return process


needs_locks = pytest.mark.skipif(os.name == "nt", reason="what is half written is not locked on Windows")


@needs_locks
@pytest.mark.parametrize("name", ["x.onnx", "another"])
def test_what_a_kill_left_half_written_goes_with_the_next_write(tmp_path, name):
    with half_written(tmp_path) as process:
        process.stdin.close()
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 3
    write(tmp_path / name, b"whole")
    assert os.listdir(tmp_path) == [name]


@needs_locks
def test_what_a_living_process_writes_stays(tmp_path):
    with half_written(tmp_path) as process:
        write(tmp_path / "x.onnx", b"another process's")
        write(tmp_path / "y.onnx", b"another file")
        assert len(os.listdir(tmp_path)) == 5
        process.communicate(b"go on\n", timeout=60)
    assert process.returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["bundle", "features_a-β.png", "x.onnx", "y.onnx"]
    assert (tmp_path / "x.onnx").read_text() == "model" and (tmp_path / "bundle" / "case.json").read_text() == "case"


def test_hidden_files_of_others_stay(tmp_path):
    others = [".x-abcdefgh.onnx", ".x-unfinished-abcdefgh.onnx", "x-refcnn-unfinished-abcdefgh.onnx", ".x.onnx"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    os.symlink(tmp_path / ".x.onnx", tmp_path / ".x-refcnn-unfinished-abcdefgh.onnx")
    write(tmp_path / "x.onnx", b"")
    assert set(others) < set(os.listdir(tmp_path))


def test_many_write_the_same_file_at_once(tmp_path):
    path = tmp_path / "file.bin"
    contents = [bytes([number]) * 5000 for number in range(4)]

    def write_often(content):
        for _ in range(40):
            write(path, content)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(write_often, contents))
    assert path.read_bytes() in contents and os.listdir(tmp_path) == ["file.bin"]


def test_a_name_as_long_as_names_may_be(tmp_path):
    name = "n" * 250 + ".bin"
    write(tmp_path / name, b"whole")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_is_made_whole_or_not_at_all(tmp_path, is_there):
    folder = tmp_path / "folder"
    if is_there:
        with atomic_folder(folder) as temporary:
            (temporary / "former").write_text("former")
    with pytest.raises(ValueError), atomic_folder(folder) as temporary:
        (temporary / "half").write_text("half")
        raise ValueError
    assert os.listdir(tmp_path) == ["folder"] * is_there
    if is_there:
        assert os.listdir(folder) == ["former"]
    with atomic_folder(folder) as temporary:
        (temporary / "whole").write_text("whole")
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(folder) == ["whole"]
    (tmp_path / "ordinary").mkdir()
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)
