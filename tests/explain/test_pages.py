"""The pages of refcnn explain: whole, small, of documented data, and made only where that can be."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from refcnn import rooms
from refcnn.cli import main
from refcnn.explain.curves import curve
from refcnn.explain.explaining import FORMAT, explained
from refcnn.explain.facts import kernels
from refcnn.explain.playback import region
from refcnn.opencl.runtime.kernels import kernel_folder
from refcnn.version import __version__

from .schema import VALIDATOR

#: The most that a page has.
MOST_BYTES = 3 * 2**20


def data_of(page):
    text = Path(page).read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def run(*arguments):
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("operation", [one for one in rooms.operations() if "pool" not in one and "conv" not in one])
def test_every_operation_is_explained(operation):
    found = explained(operation)
    data = {"format": FORMAT, "version": __version__, "operations": [found.data]}
    VALIDATOR.validate(data)
    json.dumps(data, allow_nan=False)
    (case,) = found.data["cases"]
    has_gradient = rooms.trait(rooms.CONFORMANCE, operation, "HAS_GRADIENT")
    has_gradient = has_gradient and hasattr(rooms.require(rooms.REFERENCE, operation), "backward")
    assert [one["direction"] for one in case["runs"]] == ["forward", "backward"][: 1 + has_gradient]
    assert case["runs"][0]["walks"]
    # Each line that is lit stands in a text that is shown.
    for step in (step for one in case["runs"] for step in one["steps"]):
        source = found.data["sources"][step["source"]]
        assert source["first"] <= step["line"] < source["first"] + len(source["text"].splitlines())
    assert found.facts.bound
    assert all(text for _, text, _ in found.facts.bound)


@pytest.mark.parametrize("operation", ["conv2d", "average_pool2d"])
def test_a_page_is_whole_and_small(operation):
    result = run(operation)
    assert (result.exit_code, result.output) == (0, f"{operation}.html\n")
    text = Path(f"{operation}.html").read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    urls = set(re.findall(r"https?://[^\s\"'<)]+", text))
    # What names a thing, or stands in a source's comment, and is not asked for.
    assert urls <= {"http://www.w3.org/2000/svg"}
    assert "<math" in text
    data = data_of(f"{operation}.html")
    together = {"conv2d": ["conv2d", "conv_transpose2d"]}
    assert [one["name"] for one in data["operations"]] == together.get(operation, [operation])
    VALIDATOR.validate({**data, "operations": [one | {"cases": one["cases"][:2]} for one in data["operations"]]})
    for one in data["operations"]:
        assert {"pixels", "kernel", "padding", "stride", "dilation"} <= one["choices"].keys()
        for case in one["cases"]:
            assert all(case["choices"][name] in values for name, values in one["choices"].items())


def test_the_chapter_has_all_figures():
    result = run()
    assert (result.exit_code, result.output) == (0, "chapter.html\n")
    text = Path("chapter.html").read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    for place in ("convolution", "padding", "stride", "output", "pooling"):
        assert f'id="{place}"' in text
    # (5 - 3 + 2) / 2 + 1 = 3
    assert re.search(r"<tr>" + "".join(f'<td class="count">{one}</td>' for one in (5, 3, 1, 2, 1, 3)) + "</tr>", text)
    data = data_of("chapter.html")
    names = [one["name"] for one in data["operations"]]
    assert {"average_pool2d", "conv2d", "max_pool2d"} <= set(names)
    for number, only in re.findall(r'data-operation="(\d+)" data-only="([^"]*)"', text):
        wanted = json.loads(only.replace("&#34;", '"')).items()
        assert any(wanted <= one["choices"].items() for one in data["operations"][int(number)]["cases"])


def test_names_that_are_none_are_refused():
    result = run("convd2")
    assert result.exit_code == 1
    assert "no operation 'convd2'" in result.output
    assert "Did you mean 'conv2d'?" in result.output
    assert not list(Path().iterdir())


@pytest.mark.parametrize("out", ["no/such/folder/page.html", "."])
def test_a_page_that_cannot_be_written_is_said_before_the_work(out):
    result = run("softmax", "--out", out)
    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_a_folder_that_is_no_run_is_refused():
    Path("empty").mkdir()
    result = run("empty")
    assert result.exit_code == 1
    assert "holds no training run" in result.output
    assert run("softmax", "--model", "a:b").exit_code == 2


def test_regions_are_ranges_or_lists():
    assert region(np.array([5, 6, 9, 10]), (3, 4)) == [[1, 1, 2], [1, 1, 2]]
    assert region(np.array([0, 2, 8, 10]), (3, 4)) == [[0, 2, 2], [0, 2, 2]]
    assert region(np.array([0, 5]), (3, 4)) == [0, 5]
    assert region(np.array([0]), ()) == []


def test_kernels_are_those_that_every_device_runs():
    files = dict(kernels("conv2d"))
    assert "__kernel void forward" in files["kernels/conv2d.cl"]
    assert not any("winograd" in name or "_gpu" in name or "_cpu" in name for name in files)
    (page, functions), *others = kernels("elu")
    assert page == "kernels/activation.cl"
    assert re.findall(r"inline FLOAT (\w+)\(", functions) == ["elu", "elu_slope"]
    assert [name for name, _ in others] == ["kernels/elementwise.cl"]
    assert all((kernel_folder().parent / name).is_file() for name in files)


def test_a_function_of_one_number_has_a_curve():
    drawn = curve("elu", explained_case("elu"))
    assert drawn.y.startswith("M")
    assert drawn.slope
    assert curve("softmax", explained_case("softmax")) is None
    assert curve("dropout", explained_case("dropout")) is None


def explained_case(operation):
    from refcnn.conformance.theory.examples import examples

    return examples(operation)[0].case
