"""Pages of operations that are computed with what is chosen on them, and requests that no such page makes."""

import json
import re

import numpy as np
import pytest

import refcnn as rm
from refcnn import rooms

from ..explain.schema import VALIDATOR
from ..explain.test_live import assert_told
from .test_answers import schema
from .test_hostile import works


def computed(running, operation, status=200, **choices):
    """Return what is answered to choices, which are as their schema says where they are taken."""
    if status == 200:
        schema("choices").validate(choices)
    return running.json(f"api/explain/{operation}", json.dumps(choices).encode(), status)


def test_the_list_leads_to_every_operation_and_the_chapter(running):
    status, headers, content = running.ask("explain/")
    assert status == 200 and headers["content-type"].startswith("text/html")
    links = set(re.findall(r'<a href="(\w+)"', content.decode()))
    assert links == {*rooms.operations(), "chapter"}
    assert b'href="explain/"' in running.ask()[2]
    status, headers, content = running.ask("explain/chapter")
    assert status == 200 and b"Convolutional networks" in content
    assert "connect-src" not in re.search(r'Policy" content="([^"]*)"', content.decode())[1]


@pytest.mark.parametrize("operation", ["conv2d", "sgd", "add", "softmax"])
def test_a_page_is_given_and_answers_as_documented(running, operation):
    status, _, content = running.ask(f"explain/{operation}")
    assert status == 200 and f"<title>{operation}, explained</title>".encode() in content
    arguments = {"channel": 1} if operation == "conv2d" else {}
    found = computed(running, operation, arguments=arguments)
    VALIDATOR.validate(found)
    schema("explained").validate(found)


@pytest.mark.parametrize(
    ("function", "shape", "arguments"),
    [
        (rm.max_pool2d, (1, 2, 6, 5), {"filter": (3, 2), "stride": (2, 1), "padding": (1, 0, 0, 1), "ceil_mode": True}),
        (rm.pad, (2, 3), {"pads": (0, 1, 1, 1), "mode": "reflect"}),
        (rm.reduce_log_sum_exp, (3, 4), {"axes": 0, "keepdims": True}),
    ],
)
def test_an_answer_is_the_library_s(running, function, shape, arguments):
    said = {name: list(one) if isinstance(one, tuple) else one for name, one in arguments.items()}
    found = computed(running, function.__name__, shapes={"x": list(shape)}, arguments=said, seed=7)
    ((case,),) = (one["cases"] for one in found["operations"])
    x = np.float64(np.float32(case["inputs"]["x"])).reshape(shape)
    with rm.use_backend("reference:float64"):
        assert_told(case["runs"][0], "y", function(x, **arguments).as_ndarray())


HOSTILE = [
    {"arguments": {"filter": 10**9, "channel": 1}},
    {"arguments": {"filter": "9" * 4000, "channel": 1}},
    {"arguments": {"channel": 1, "stride": -1}},
    {"arguments": {"channel": "nan"}},
    {"arguments": {"channel": 1e308}},
    {"arguments": {"__class__": 1}},
    {"arguments": {"initializer": "x"}},
    {"arguments": {"channel": 1, "padding": "../../etc"}},
    {"arguments": {"channel": 1, "padding": [[[[]]]]}},
    {"arguments": {"channel": 1, "padding": "\ud800\0\n"}},
    {"arguments": ["channel"]},
    {"shapes": {"x": [1, 1, 2**31, 2**31]}},
    {"shapes": {"x": [1, 1, -5, 5]}},
    {"shapes": {"x": "1" * 60}},
    {"shapes": {"y": "1"}},
    {"values": {"x": "1," * 30_000}},
    {"values": {"x": "<script>"}},
    {"seed": 10**30},
    {"nothing": {}},
    {f"name {number}": number for number in range(1000)},
]


@pytest.mark.parametrize("said", HOSTILE)
def test_what_cannot_be_chosen_is_refused_with_a_sentence(running, said):
    error = computed(running, "conv2d", 422, **said)["error"]
    assert 10 < len(error) < 1000
    assert "Traceback" not in error and ".py" not in error
    assert running.reported == []


@pytest.mark.parametrize("content", [b"", b"x", b"[" * 10_000, b"\xff\xfe", b'{"seed": NaN}', b"9" * 5000, b"{}}"])
def test_what_is_no_json(running, content):
    assert "These are no choices" in running.json("api/explain/relu", content, 422)["error"]


def test_more_bytes_than_any_choice_has(running):
    assert "bytes are not taken" in running.json("api/explain/relu", b" " * (1 << 19), 413)["error"]
    works(running)


@pytest.mark.parametrize("name", ["nothing", "__init__", "conv2d.py", "..%2fconv2d", "conv2d/", "%00", "a" * 5000])
def test_operations_that_there_are_not(running, name):
    for path in (f"explain/{name}", f"api/explain/{name}"):
        status, _, content = running.ask(path, b"{}" if path.startswith("api") else None)
        assert status in (400, 404) and len(content) < 200
    works(running)


def test_no_token_no_page(running):
    for path in ("/explain/", "/explain/conv2d", "/api/explain/conv2d"):
        assert running.ask(whole=path)[0] == 403


def test_a_method_that_is_not_there(running):
    assert running.ask("explain/conv2d", b"", method="POST")[0] == 405
    assert running.ask("api/explain/conv2d")[0] == 405


def test_a_fault_tells_the_terminal_alone(running, monkeypatch):
    from refcnn.explain import live

    def fail(*arguments):
        raise ValueError("/home/a/secret")

    monkeypatch.setattr(live, "computed", fail)
    status, _, content = running.ask("api/explain/relu", b"{}")
    assert status == 500 and b"secret" not in content
    assert str(running.reported.pop()) == "/home/a/secret"
