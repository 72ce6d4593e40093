"""A network that tells upright lines from level ones, and a server of it in this process."""

import contextlib
import http.client
import importlib.util
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image

import refcnn as rm
from refcnn.data import Preprocessing
from refcnn.data.usual import Usual, UsualChannel
from refcnn.onnx import export


class Absent(pytest.Module):
    """A module of tests for which a library is absent."""

    def collect(self):
        pytest.skip("needs Starlette and uvicorn: pip install 'refcnn[serve]'", allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    """Pass over all modules of this folder where the server's libraries are absent."""
    if all(map(importlib.util.find_spec, ("starlette", "uvicorn"))):
        return None
    return Absent.from_parent(parent, path=module_path)


CLASSES = ("upright", "level")
SIZE = 16


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """An ONNX file of a network that was trained on white lines on black."""
    path = tmp_path_factory.mktemp("served") / "lines.onnx"
    line = np.array([[-1, 2, -1]] * 3, np.float32)
    layers = [rm.Conv2d(2, 3, padding=1), rm.Relu(), rm.MaxPool2d(2, stride=2), rm.GlobalAveragePool2d()]
    model = rm.Sequential([*layers, rm.Flatten(), rm.Dense(2)])
    usual = UsualChannel(Usual(0.1, 0.05, 0.01, 0.4), Usual(0.25, 0.05, 0.05, 0.5))
    preprocessing = Preprocessing(1 / 255, 1, SIZE, SIZE, usual=(usual,))
    with rm.use_backend("reference"):
        model(np.zeros((1, *preprocessing.shape), np.float32))
        kernels = np.stack([line, line.T])[:, None]
        biases = {"0.b": np.zeros((1, 2, 1, 1)), "5.b": np.zeros((1, 2))}
        model.set_state({"0.w": kernels, "5.w": 9 * np.eye(2), **biases})
        export(model, path, preprocessing.shape, classes=CLASSES, preprocessing=preprocessing, proof=False)
    return path


def png(array, **options):
    """Return an array as the content of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", **options)
    return file.getvalue()


def line_image(is_upright=True, size=SIZE):
    """Return an image of a white line on black."""
    pixels = np.zeros((size, size), np.uint8)
    pixels[size // 8 : -size // 8, size // 2 : size // 2 + size // 8] = 255
    return pixels if is_upright else pixels.T.copy()


class Running:
    """A server, and requests to it."""

    def __init__(self, port, token, work, reported):
        self.port, self.token, self.work, self.reported = port, token, work, reported
        self.address = f"http://127.0.0.1:{port}/{token}/"

    def ask(self, path="", body=None, *, method=None, headers=None, whole=None):
        """Return (status, headers, content) of an answer; ``whole`` is a path from the root."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        method = method or ("GET" if body is None else "POST")
        try:
            connection.request(method, f"/{self.token}/{path}" if whole is None else whole, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, path, body=None, status=200, **options):
        """Return what an answer says, which must have a status."""
        found, _, content = self.ask(path, body, **options)
        assert found == status, content
        return json.loads(content)


class Stop(BaseException):
    """Ends the computing thread."""


@contextlib.contextmanager
def served(model_file, package=None):
    """A server of a network, whose requests a thread computes."""
    from refcnn.serve import connections, guard
    from refcnn.serve.application import application
    from refcnn.serve.served import Served
    from refcnn.serve.work import Work

    work, reported, stopping = Work(), [], threading.Event()

    def stop_if_asked():
        if stopping.is_set():
            raise Stop

    def compute():
        try:
            work.run(stop_if_asked)
        except Stop:
            return

    with connections.listening("127.0.0.1", 0) as listener:
        address, port = listener.getsockname()
        token = "A-token_of-the-Tests"
        names = guard.Names("127.0.0.1", address)
        made = application(Served(model_file), work, package, token=token, names=names, report=reported.append)
        thread = threading.Thread(target=compute)
        thread.start()
        with connections.serving(made, listener):
            yield Running(port, token, work, reported)
        stopping.set()
        thread.join()


@pytest.fixture(scope="session")
def running(model_file):
    """A server of the network."""
    with served(model_file) as found:
        yield found


@pytest.fixture(scope="session")
def serve_browser(chromium):
    """A browser that reaches this machine alone, and has a camera that is none."""
    found = chromium(
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    )
    yield found
    found.close()


@contextlib.contextmanager
def visiting(serve_browser, running):
    """Open a server's page, which must ask for nothing elsewhere; at the end ``visit.said`` must be empty."""
    contexts, asked, said = [], [], []

    def open_page(width=1400, dark=False, path=""):
        context = serve_browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(running.address + path)
        return page

    open_page.said = said
    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith((running.address, "data:", "blob:"))] == []
    assert said == []


@pytest.fixture
def visit(serve_browser, running):
    """Open the server's page, as :func:`visiting` does."""
    with visiting(serve_browser, running) as open_page:
        yield open_page
