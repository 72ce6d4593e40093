"""The file in the page itself: what a page is given for that, and how what it posts is judged, whoever posts it."""

import base64
import json
import re

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.onnx.runtime import Session
from refcnn.serve import in_page, onnxruntime_web
from refcnn.serve import served as serving
from refcnn.serve.in_page import InPage
from refcnn.serve.refusing import Refusal
from refcnn.serve.served import Served

from .conftest import line_image, png, served
from .test_answers import schema
from .test_hostile import refused, works
from .test_onnxruntime_web import MODULE, WEBASSEMBLY, stand_in

IMAGE = png(line_image())
RESULTS = "api/in-page/results"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """What stands for onnxruntime-web: its files hold their names."""
    return onnxruntime_web.find(stand_in(tmp_path_factory.mktemp("package")))


@pytest.fixture(scope="module")
def with_package(model_file, package):
    """A server of the network that has it."""
    with served(model_file, package) as found:
        yield found


@pytest.fixture(scope="module")
def asked(model_file, package):
    """What a page asks for, without a server."""
    return InPage(Served(model_file), package)


def test_the_files_are_given_and_the_page_may_load_them(with_package, running):
    description = with_package.json("api/model")
    schema("model").validate(description)
    schema("model").validate(running.json("api/model"))
    assert description["onnxruntime_web"]["name"] == "onnxruntime-web 1.2.3"
    for key, name, kind in (("module", MODULE, "text/javascript"), ("webassembly", WEBASSEMBLY, "application/wasm")):
        status, headers, content = with_package.ask(description["onnxruntime_web"][key])
        assert (status, content) == (200, name.encode())
        assert headers["content-type"].partition(";")[0] == kind and headers["x-content-type-options"] == "nosniff"
    for server, loads in ((with_package, True), (running, False)):
        page = server.ask()[2].decode()
        (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
        assert loads == ("wasm-unsafe-eval" in policy) == ("script-src" in policy and "&#39;self&#39; " in policy)
        assert "unsafe-eval" not in policy.replace("wasm-unsafe-eval", "") and "http" not in policy


PATHS = [
    "onnxruntime-web",
    "onnxruntime-web/",
    "onnxruntime-web/package.json",
    "onnxruntime-web/ort.min.js",
    "onnxruntime-web/dist/ort.min.js",
    f"onnxruntime-web/{MODULE}/",
    f"onnxruntime-web/../{MODULE}",
    f"onnxruntime-web/%2e%2e/{MODULE}",
    "onnxruntime-web/..%2fpackage.json",
    f"onnxruntime-web//{MODULE}",
    f"onnxruntime-web/{MODULE.upper()}",
    f"onnxruntime-web/{MODULE}%00",
    f"onnxruntime-web/./{MODULE}",
]


@pytest.mark.parametrize("path", PATHS)
def test_other_files_of_its_folder_are_not(with_package, path):
    refused(with_package, 404, path)


@pytest.mark.parametrize(
    "path", [f"onnxruntime-web/{MODULE}", f"onnxruntime-web/{WEBASSEMBLY}", "api/in-page/file.onnx", RESULTS]
)
def test_they_need_the_token_and_are_only_where_it_is_installed(with_package, running, path):
    refused(with_package, 403, whole=f"/{path}")
    refused(with_package, 403, path, headers={"Origin": "http://evil.example"})
    refused(running, 404, path)


def test_the_network_is_the_file(with_package, model_file):
    status, headers, content = with_package.ask("api/in-page/file.onnx")
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert onnx.load_from_string(content) == onnx.load(model_file)
    stepwise = onnx.load_from_string(with_package.ask("api/in-page/stepwise.onnx")[2])
    task = with_package.json("api/in-page/task", IMAGE)
    schema("in_page_task").validate(task)
    assert task["tensors"] == [entry.name for entry in stepwise.graph.output]
    assert task["outputs"] == [entry.name for entry in onnx.load(model_file).graph.output]
    assert len(task["tensors"]) == 6


def computed(ask, change=lambda model: None, form=""):
    """Return what a page posts whose onnxruntime is Python's; the model of all results may be changed before."""
    task = json.loads(ask(f"api/in-page/task?form={form}", IMAGE)[2])
    given = np.frombuffer(base64.b64decode(task["input"]["values"]), task["input"]["type"])
    x = given.reshape(task["input"]["shape"])
    stepwise = onnx.load_from_string(ask("api/in-page/stepwise.onnx")[2])
    change(stepwise)
    outputs = Session(ask("api/in-page/file.onnx")[2]).run(x)
    tensors = Session(stepwise.SerializeToString(), is_optimised=False).run(x)
    return [*(outputs[name] for name in task["outputs"]), *(tensors[name] for name in task["tensors"])]


def posted(arrays, image=IMAGE, changes=()):
    """Return the body that a page posts, with changes to its first line."""
    forms = [{"type": array.dtype.name, "shape": list(array.shape)} for array in arrays]
    head = {"image": len(image), "seconds": 0.25, "arrays": forms, **dict(changes)}
    return b"".join([json.dumps(head).encode(), b"\n", image, *(array.tobytes() for array in arrays)])


@pytest.fixture(scope="module")
def arrays(with_package):
    """What is right."""
    return computed(with_package.ask)


def judged(server, body):
    found = server.json(RESULTS, body)
    schema("executors").validate(found)
    (row,) = found["executors"]
    assert row["name"] == "onnxruntime-web 1.2.3" and row["is_usable"]
    return row


def test_what_is_right_agrees(with_package, arrays):
    schema("in_page_results").validate(json.loads(posted(arrays).partition(b"\n")[0]))
    row = judged(with_package, posted(arrays))
    assert (row["class"], row["seconds"], row["parts"]) == ("upright", 0.25, "")
    assert 0 <= row["ratio"] <= 1 and row["difference"] < 1e-5
    beside = with_package.json("api/executors", IMAGE)["executors"][-1]
    same = ("class", "difference", "ratio", "node", "parts")
    assert [row[name] for name in same] == [beside[name] for name in same]


def test_a_drawing_is_centred_here_as_there(with_package):
    arrays = computed(with_package.ask, form="mnist")
    row = judged(with_package, posted(arrays, changes={"form": "mnist"}))
    assert row["parts"] == "" and row["ratio"] <= 1 and row["difference"] < 1e-5
    assert judged(with_package, posted(arrays))["parts"]
    refused(with_package, 422, RESULTS, posted(arrays, changes={"form": "other"}))


@pytest.mark.parametrize(("weight", "node"), [("0.w", "Conv"), ("5.w", "Gemm|MatMul")])
def test_a_wrong_weight_is_named_at_its_layer(with_package, weight, node):
    def change(model):
        (entry,) = (one for one in model.graph.initializer if one.name == weight)
        array = onnx.numpy_helper.to_array(entry).copy()
        array.flat[0] += np.float32(1e-3)
        entry.CopyFrom(onnx.numpy_helper.from_array(array, weight))

    row = judged(with_package, posted(computed(with_package.ask, change)))
    assert re.match(node, row["node"]) and "is exact" in row["parts"]


@given(st.data())
def test_whatever_is_wrong_in_an_array_is_told_and_what_is_not_is_not(asked, arrays, data):
    """Each layer is held against its own inputs: where one number is off, it is told of that layer."""
    place = data.draw(st.integers(1, len(arrays) - 1))
    wrong = [array.copy() for array in arrays]
    element = data.draw(st.integers(0, wrong[place].size - 1))
    change = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 0.5, -0.5]))
    wrong[place].flat[element] += np.float32(change)
    (row,) = asked.judged(posted(wrong))["executors"]
    (told,) = [one for one in onnx_nodes(asked) if asked._elsewhere.tensors[place - 1] in one.output]
    assert row["parts"] and told.op_type in row["node"]


def onnx_nodes(asked):
    return onnx.load_from_string(asked._elsewhere.deployed()).graph.node


def test_another_shape_is_told(with_package, arrays):
    wrong = [*arrays[:1], arrays[1].reshape(arrays[1].shape[::-1]), *arrays[2:]]
    row = judged(with_package, posted(wrong))
    assert "of shape" in row["parts"] and row["difference"] < 1e-5
    none = [np.zeros((0, *array.shape[1:]), array.dtype) for array in arrays]
    row = judged(with_package, posted(none))
    assert "of shape" in row["parts"] and row["class"] is None


def spoiled(arrays):
    """Yield bodies that no page of ours posts."""
    whole = posted(arrays)
    head, _, rest = whole.partition(b"\n")
    yield from (b"", b"\n", IMAGE, whole[:-1], whole + b"\0", rest, head, b"[" * 200_000 + b"\n" + rest, b"{}\n" + rest)
    yield head[:-1] + b" " * (1 << 18) + b"}\n" + rest
    yield from (b"\xff\xfe" + whole, head.replace(b"0.25", b"NaN") + b"\n" + rest)
    yield from (head.replace(b"0.25", b"1e999") + b"\n" + rest, head.replace(b"0.25", b"-1") + b"\n" + rest)
    for changes in (
        {"more": 1},
        {"seconds": "0"},
        {"seconds": None},
        {"image": -1},
        {"image": 1 << 70},
        {"image": 0.5},
    ):
        yield posted(arrays, changes=changes)
    for form in (
        {"type": "object", "shape": [1]},
        {"type": "float32", "shape": [-1]},
        {"type": "float32", "shape": [1 << 31]},
        {"type": "float32", "shape": [(1 << 31) - 1] * 16},
        {"type": "float32", "shape": [0, *[(1 << 31) - 1] * 15]},
        {"type": "float32", "shape": [1] * 17},
        {"type": "float32", "shape": [True]},
        {"type": "int64", "shape": [1, 1]},
        {"type": "bool", "shape": [1, 2]},
        {"type": "float32"},
        [],
        None,
    ):
        yield posted(arrays, changes={"arrays": [form] * len(arrays)})
    yield posted(arrays, changes={"arrays": []})
    yield from (posted(arrays[:-1]), posted([*arrays, arrays[-1]]), posted([array.astype(int) for array in arrays]))


def test_hostile_uploads_are_refused(with_package, arrays):
    for body in spoiled(arrays):
        said = refused(with_package, 422, RESULTS, body, method="POST")
        assert said == "What the page computed did not arrive as it should: is it of another version?", body[:300]
    said = refused(with_package, 422, RESULTS, posted(arrays, image=b"no image"))
    assert "could not be read as an image" in said
    refused(with_package, 413, RESULTS, b"", method="POST", headers={"Content-Length": str(in_page.MOST_RESULTS + 1)})
    assert with_package.reported == []
    works(with_package)


@given(st.data())
def test_whatever_is_changed_in_an_upload_it_is_judged_or_refused(asked, arrays, data):
    body = bytearray(posted(arrays))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 400) | st.integers(0, len(body) - 1))
        kept = data.draw(st.integers(0, 3))
        body[place : place + kept] = data.draw(st.binary(max_size=3))
    try:
        (row,) = asked.judged(bytes(body))["executors"]
    except Refusal:
        return
    json.dumps(row, allow_nan=False)


def test_what_is_too_large_is_not_sent(asked, model_file, package, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(in_page, "MOST_FILE", 100)
        with pytest.raises(Refusal, match=r"^The file has [\d,]+ bytes, of which no more than 100 go to a page\.$"):
            InPage(Served(model_file), package).task(IMAGE)
    with monkeypatch.context() as context:
        context.setattr(in_page, "MOST_RESULTS", (1 << 18) + 1000)
        with pytest.raises(Refusal, match="^What its layers compute has"):
            asked.task(IMAGE)
    monkeypatch.setattr(serving, "MOST_FLOP", 10)
    for ask in (asked.task, asked.judged):
        with pytest.raises(Refusal, match=r"refcnn verify|did not arrive"):
            ask(IMAGE)
