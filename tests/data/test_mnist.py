import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from refcnn.data import fetch_mnist, load, mnist, mnist_files
from refcnn.errors import ArgumentError, DataError

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
# SHA-256 of the four files as they are without gzip, widely published.
UNZIPPED = {
    ("train", "x"): "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ("train", "y"): "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ("test", "x"): "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ("test", "y"): "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# SHA-256 of the first 333 images of the file mnist-original.mat of mldata.org.
FIRST_OF_ORIGINAL = "1d7b6010efcfbbeb02c29c2eb3599a145762c6c89ca54aae691b678e4b443d9d"


@pytest.fixture(scope="module")
def real():
    beside = Path(__file__).resolve().parents[3] / "shared" / "mnist"
    for folder in (os.environ.get("REFCNN_DATA"), beside):
        if folder and Path(folder).is_dir() and len(mnist_files.idx.find(folder)) == 4:
            return folder
    pytest.skip(f"MNIST's four files are neither in the folder that REFCNN_DATA names nor in {beside}")


@pytest.fixture
def away(monkeypatch, tmp_path):
    """A machine with an empty cache, no data folder named and a network that ends at this machine."""
    monkeypatch.delenv("REFCNN_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    cache = tmp_path / "cache" / "mnist"
    monkeypatch.setattr(mnist_files, "cache_folder", lambda: cache)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(mnist_files, "MIRRORS", (f"http://127.0.0.1:{closed.getsockname()[1]}/",))
    return cache


def test_mnist_is_mnist(real):
    train, test = load("mnist", data_dir=real)
    assert np.bincount(train.y).tolist() == TRAIN_COUNTS and np.bincount(test.y).tolist() == TEST_COUNTS
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    for (part, name), sha256 in UNZIPPED.items():
        array = getattr({"train": train, "test": test}[part], name).astype(np.uint8).squeeze()
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        assert hashlib.sha256(header + array.tobytes()).hexdigest() == sha256
    assert train.x.shape == (60000, 1, 28, 28) and train.x.dtype == np.uint8
    assert train.classes == test.classes == tuple("0123456789")


def test_the_order_of_mnist_original(real):
    everything, none = mnist(real, order="mldata")
    assert none is None and len(everything) == 70000
    expected = [np.repeat(np.arange(10), counts) for counts in (TRAIN_COUNTS, TEST_COUNTS)]
    np.testing.assert_array_equal(everything.y, np.concatenate(expected))
    assert hashlib.sha256(everything.x[:333].tobytes()).hexdigest() == FIRST_OF_ORIGINAL
    train, test = mnist(real)
    for label in range(10):  # within a label, the order of the files
        of_both = np.concatenate([part.x[part.y == label] for part in (train, test)])
        np.testing.assert_array_equal(everything.x[everything.y == label], of_both)


def test_the_chapters_lines(real):
    found = fetch_mnist(order="mldata", data_home=real)
    data, targets = found["data"], found["target"]
    assert data.shape == (70000, 784) and data.dtype == np.uint8
    assert targets.shape == (70000,) and targets.dtype == np.float64
    train_num = int(0.8 * len(data))
    train_data = np.expand_dims(data[:train_num].reshape(train_num, 28, 28), axis=1)
    assert train_data.shape == (56000, 1, 28, 28)
    everything, _ = mnist(real, order="mldata")
    np.testing.assert_array_equal(train_data, everything.x[:56000])
    np.testing.assert_array_equal(targets, everything.y)
    assert fetch_mnist(data_home=real)["target"][:5].tolist() == [5, 0, 4, 1, 9]


def test_an_unknown_order(real):
    with pytest.raises(ArgumentError, match="order is 'random'"):
        mnist(real, order="random")


@pytest.fixture(scope="module")
def small(idx_bytes):
    """Four small files by MNIST's names, and what they hold."""
    parts = {"train": np.arange(8) % 3, "t10k": np.arange(4) % 3}
    files = {}
    for part, labels in parts.items():
        images = np.arange(len(labels) * 12, dtype=np.uint8).reshape(-1, 4, 3)
        files[f"{part}-images-idx3-ubyte.gz"] = idx_bytes(images, zipped=True)
        files[f"{part}-labels-idx1-ubyte.gz"] = idx_bytes(labels.astype(np.uint8), zipped=True)
    return files


def place(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        (folder / name).write_bytes(contents)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["data_dir", "REFCNN_DATA", "cache"])
def test_where_the_files_are_looked_for(away, tmp_path, monkeypatch, small, where, zipped):
    folder = away if where == "cache" else tmp_path / "data"
    place(folder, small if zipped else {name[:-3]: gzip.decompress(small[name]) for name in small})
    if where == "REFCNN_DATA":
        monkeypatch.setenv("REFCNN_DATA", str(folder))
    train, test = load("mnist", data_dir=folder if where == "data_dir" else None)
    assert (len(train), len(test)) == (8, 4)


def test_a_folder_without_the_files_is_passed_over(away, tmp_path, small):
    place(away, small)
    (tmp_path / "other").mkdir()
    assert len(mnist(tmp_path / "other")[0]) == 8


def test_the_argument_goes_before_the_environment(away, tmp_path, monkeypatch, small):
    place(tmp_path / "argument", small)
    monkeypatch.setenv("REFCNN_DATA", str(tmp_path / "absent"))
    assert len(mnist(tmp_path / "argument")[0]) == 8


def test_a_folder_that_is_absent_is_no_silent_download(away, tmp_path):
    with pytest.raises(DataError, match="absent could not be read"):
        mnist(tmp_path / "absent")


def test_a_folder_with_some_of_the_files(away, tmp_path, small):
    place(tmp_path / "data", dict(list(small.items())[:3]))
    with pytest.raises(DataError, match="but MNIST is four files: .*t10k-labels-idx1-ubyte.gz"):
        mnist(tmp_path / "data")


class Mirror:
    """An HTTP server on this machine that answers with the given status and bytes, and counts requests."""

    def __init__(self, answers):
        self.requested = requested = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                requested.append(self.path[1:])
                status, contents, length = answers.get(self.path[1:], (404, b"not here", 8))
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(contents)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()


def whole(files):
    return {name: (200, contents, len(contents)) for name, contents in files.items()}


@pytest.fixture
def hashes(monkeypatch, small):
    monkeypatch.setattr(mnist_files, "SHA256", {name: hashlib.sha256(small[name]).hexdigest() for name in small})


def test_download_into_the_cache_once(away, monkeypatch, small, hashes):
    with Mirror(whole(small)) as mirror:
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror.url,))
        assert len(mnist()[0]) == 8
        assert sorted(mirror.requested) == sorted(small)
        assert {path.name: path.read_bytes() for path in away.iterdir()} == small
        assert len(mnist()[0]) == 8 and len(mirror.requested) == 4
        (away / "t10k-labels-idx1-ubyte.gz").unlink()
        assert len(mnist()[0]) == 8 and mirror.requested[4:] == ["t10k-labels-idx1-ubyte.gz"]


def test_the_second_mirror_steps_in(away, monkeypatch, small, hashes):
    with Mirror({}) as empty, Mirror(whole(small)) as full:
        monkeypatch.setattr(mnist_files, "MIRRORS", (empty.url, *mnist_files.MIRRORS, full.url))
        assert len(mnist()[0]) == 8
        assert len(empty.requested) == len(full.requested) == 4


def missing_message(caught, away):
    message = str(caught.value)
    assert all(name in message for name in mnist_files.SHA256)
    assert "REFCNN_DATA" in message and "--data-dir" in message and str(away) in message
    return message


def test_no_network(away):
    with pytest.raises(DataError) as caught:
        mnist()
    assert "refused" in missing_message(caught, away)


def test_a_file_that_the_mirror_lacks(away, monkeypatch):
    with Mirror({}) as mirror, pytest.raises(DataError) as caught:
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror.url,))
        mnist()
    assert "404" in missing_message(caught, away)


@pytest.mark.parametrize("damage", ["other contents", "cut short"])
def test_a_wrong_file_is_not_kept(away, monkeypatch, small, hashes, damage):
    name = "train-labels-idx1-ubyte.gz"
    answers = whole(small)
    if damage == "other contents":
        answers[name] = (200, small["t10k-labels-idx1-ubyte.gz"], len(small["t10k-labels-idx1-ubyte.gz"]))
    else:
        answers[name] = (200, small[name][:10], len(small[name]))
    with Mirror(answers) as mirror, pytest.raises(DataError) as caught:
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror.url,))
        mnist()
    assert f"{name} could not be downloaded" in missing_message(caught, away)
    assert [path.name for path in away.iterdir()] == ["train-images-idx3-ubyte.gz"]


def test_a_cache_that_cannot_be_written(away, monkeypatch, small, hashes, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with Mirror(whole(small)) as mirror, pytest.raises(DataError) as caught:
        monkeypatch.setattr(mnist_files, "MIRRORS", (mirror.url,))
        mnist()
    missing_message(caught, away)


@pytest.mark.parametrize(
    "name, size",
    [
        ("train-images-idx3-ubyte.gz", 9912422),
        ("train-labels-idx1-ubyte.gz", 28881),
        ("t10k-images-idx3-ubyte.gz", 1648877),
        ("t10k-labels-idx1-ubyte.gz", 4542),
    ],
)
def test_a_file_as_the_mirrors_hold_it_has_the_hash_of_the_table(real, name, size):
    path = Path(real, name)
    if not path.is_file() or path.stat().st_size != size:
        pytest.skip(f"{name} lies here unzipped or zipped anew, so that it has another hash")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == mnist_files.SHA256[name]
