"""onnxruntime-web in the served page, in the system's Chromium: a row beside the others, and what is wrong is named."""

import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from refcnn.serve import onnxruntime_web

from ..pages.conftest import overflow
from .conftest import served, visiting
from .test_in_the_browser import answered, draw, says


@pytest.fixture(scope="module")
def package():
    """The installed one."""
    folder = Path(os.environ.get("REFCNN_TEST_NODE_MODULES") or "node_modules")
    if not (folder / onnxruntime_web.NAME).is_dir():
        pytest.skip(f"'{onnxruntime_web.HOW}', and name its node_modules in REFCNN_TEST_NODE_MODULES")
    return onnxruntime_web.find(folder)


@pytest.fixture(scope="module")
def with_package(model_file, package):
    with served(model_file, package) as found:
        yield found


@pytest.fixture
def visit_with_package(serve_browser, with_package):
    with visiting(serve_browser, with_package) as open_page:
        yield open_page


def compare(page, points=((0.5, 0.1), (0.5, 0.9)), name="upright"):
    """Draw a line, and compare the executors on it."""
    draw(page, points)
    answered(page, name)
    if not page.locator("#compare").is_visible():
        page.locator("#executors > summary").click()
    page.locator("#compare").click()


def cells(page):
    """Return the row of the page itself: what stands in its cells."""
    page.locator("#executor-rows tr").nth(3).wait_for()
    return page.locator("#executor-rows tr").nth(3).locator("th, td").all_text_contents()


def test_the_page_agrees_with_the_others(visit_with_package, package):
    page = visit_with_package()
    for points, name in (([(0.5, 0.1), (0.5, 0.9)], "upright"), ([(0.1, 0.5), (0.9, 0.5)], "level")):
        page.locator("#clear").click()
        compare(page, points, name)
        says(page, "#compare-text", "No operator is outside of its bound.")
        title, time, told, _, _, part, verdict = cells(page)
        assert title == f"onnxruntime-web {package.version}" and told == name and verdict == "within"
        assert float(time.removesuffix(" ms")) > 0 and 0 <= float(part.removesuffix(" %")) <= 100
        assert page.locator("#executor-rows tr").count() == 4


def test_a_drawing_that_is_centred_is_so_for_all(visit_with_package):
    page = visit_with_package()
    page.locator("#is-formed").check()
    compare(page, [(0.1, 0.05), (0.1, 0.3)])
    says(page, "#compare-text", "No operator is outside of its bound.")
    rows = [row.locator("td").all_text_contents() for row in page.locator("#executor-rows tr").all()]
    # The class, by how much the outputs are off, and the verdict: of another image that would be much.
    assert {row[1] for row in rows} == {"upright"} and {row[-1] for row in rows} == {"within"} and len(rows) == 4
    assert all(float(row[2]) < 1e-4 for row in rows)


def test_without_it_the_page_says_in_one_line_how_to_get_it(visit, visit_with_package):
    page = visit()
    page.locator("#executors > summary").click()
    text = " ".join(page.locator("#in-page").text_content().split())
    assert text == (
        "To have this page compute it too, run npm install onnxruntime-web where you start refcnn serve, or name its "
        "folder by --onnxruntime-web."
    )
    assert "npm" not in visit_with_package().locator("#in-page").text_content()


def with_other(page, name, content):
    """Let the page be given another content of a file of the network's."""
    page.route(f"**/api/in-page/{name}", lambda route: route.fulfill(body=content))


@pytest.mark.parametrize(("weight", "node"), [("0.w", "Conv"), ("5.w", "(Gemm|MatMul)")])
def test_a_wrong_weight_is_named_at_its_layer(visit_with_package, with_package, weight, node):
    model = onnx.load_from_string(with_package.ask("api/in-page/stepwise.onnx")[2])
    (entry,) = (one for one in model.graph.initializer if one.name == weight)
    array = onnx.numpy_helper.to_array(entry) * np.float32(1.001)
    entry.CopyFrom(onnx.numpy_helper.from_array(array, weight))
    page = visit_with_package()
    with_other(page, "stepwise.onnx", model.SerializeToString())
    compare(page)
    says(page, "#compare-text", re.compile(rf"onnxruntime-web [\d.]+ parts first at {node} .*\."))
    assert re.match(node, cells(page)[4]) and cells(page)[6].startswith("parts")


def test_a_file_that_is_no_network_is_said_beside_the_others(visit_with_package):
    page = visit_with_package()
    with_other(page, "file.onnx", b"no network")
    compare(page)
    says(page, "#compare-text", re.compile(r"onnxruntime-web [\d.]+ was not judged: .+"))
    assert cells(page)[6] == "not judged"
    assert page.locator("#executor-rows .verdict.good").count() >= 2
    # It is no word of its page's server.
    says(page, "#error", "")
    # The next time it is loaded anew.
    page.unroute_all()
    page.locator("#compare").click()
    says(page, "#compare-text", "No operator is outside of its bound.")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [420, 1400])
def test_it_fits_and_is_accessible(visit_with_package, accessible, width, dark):
    page = visit_with_package(width, dark)
    compare(page)
    cells(page)
    assert overflow(page) == 0
    accessible(page)
