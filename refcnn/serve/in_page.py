"""The same file in the page itself, by onnxruntime-web: what the page needs for that, and what it computed.

Nothing of the judgement is the page's: it posts what every operator of the file computed, which is held against the
bounds as that of all other executors is.
"""

import base64
import functools
import importlib.resources
import math

import numpy as np
from starlette.responses import Response
from starlette.routing import Route

from ..reading import check, parse_json
from . import onnxruntime_web
from .refusing import Refusal

#: Bytes of a file that are sent to a page, and of what it posts.
MOST_FILE = MOST_RESULTS = 1 << 26
#: Bytes of the line before what is posted.
_MOST_HEAD = 1 << 18


class InPage:
    """What a page with onnxruntime-web asks for.

    Parameters
    ----------
    served : Served
    package : refcnn.serve.onnxruntime_web.Package
    """

    def __init__(self, served, package):
        self._served, self._package = served, package

    def routes(self, computed):
        """Return what there is.

        Parameters
        ----------
        computed : callable
            ``computed(request, compute, most=BYTES)`` is a coroutine that answers with what ``compute`` makes of a
            request's body.
        """

        def computing(compute, **options):
            async def answer(request):
                return await computed(request, compute, **options)

            return answer

        def giving(name, media_type):
            async def give(request):
                return Response(self._package.files[name], media_type=media_type)

            return give

        types = onnxruntime_web.MEDIA_TYPES.items()
        files = [Route(f"/{onnxruntime_web.NAME}/{name}", giving(name, kind)) for name, kind in types]
        return [
            *files,
            Route("/api/in-page/task", computing(self.task), methods=["POST"]),
            Route("/api/in-page/file.onnx", computing(lambda content: self._elsewhere.deployed())),
            Route("/api/in-page/stepwise.onnx", computing(lambda content: self._elsewhere.stepwise())),
            Route("/api/in-page/results", computing(self.judged, most=MOST_RESULTS), methods=["POST"]),
        ]

    @functools.cached_property
    def _elsewhere(self):
        elsewhere = self._served.elsewhere()
        if elsewhere.size > MOST_FILE:
            raise Refusal(f"The file has {elsewhere.size:,} bytes, of which no more than {MOST_FILE:,} go to a page.")
        return elsewhere

    def task(self, content):
        """Return what is to be computed of an image.

        Raises
        ------
        Refusal
            If the image cannot be read, or the network is too large for a page.
        """
        x, elsewhere = self._served.compared(content), self._elsewhere
        size = len(content) + sum(math.prod(one.shape) * one.dtype.itemsize for one in elsewhere.results)
        if size > MOST_RESULTS - _MOST_HEAD:
            raise Refusal(
                f"What its layers compute has {size:,} bytes, of which no more than {MOST_RESULTS:,} are posted."
            )
        values = base64.b64encode(np.ascontiguousarray(x, x.dtype.newbyteorder("<")).tobytes()).decode()
        given = {"name": elsewhere.input, "type": x.dtype.name, "shape": list(x.shape), "values": values}
        return {"input": given, "outputs": list(elsewhere.outputs), "tensors": list(elsewhere.tensors)}

    def judged(self, content):
        """Return what was computed in the page as an executor beside the others.

        Parameters
        ----------
        content : bytes
            A line of JSON, the image, and the results one after the other, in little endian.

        Raises
        ------
        Refusal
            If that is not what was posted, or the image cannot be read.
        """
        elsewhere = self._elsewhere
        try:
            head, image, arrays = _posted(content, elsewhere.results)
        except (ValueError, RecursionError):
            raise Refusal("What the page computed did not arrive as it should: is it of another version?") from None
        computed = elsewhere.computed(self._package.title, self._package.version, arrays)
        image = self._served.formed(image, head["form"]) if "form" in head else image
        return self._served.judged(image, elsewhere, computed, head["seconds"])


def _posted(content, expected):
    """Return the first line, the image and the arrays of what a page posts; ValueError if it is anything else.

    An array may have another shape than is right, or hold anything: that is for the judgement to say.
    """
    line, newline, _ = content[:_MOST_HEAD].partition(b"\n")
    if not newline:
        raise ValueError("there is no first line")
    head = parse_json(line)
    check(head, _schema())
    if len(head["arrays"]) != len(expected):
        raise ValueError("there are more or fewer arrays")
    begin = len(line) + 1 + head["image"]
    image, arrays = content[len(line) + 1 : begin], []
    for one, right in zip(head["arrays"], expected, strict=True):
        dtype = np.dtype(one["type"])
        if _kind(dtype) != _kind(right.dtype):
            raise ValueError("an array has another type")
        # Any byte is a truth value.
        stored = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("<")
        end = begin + math.prod(one["shape"]) * dtype.itemsize
        # Where the content ends before, it has too little for the shape: a ValueError, too.
        arrays.append(np.frombuffer(content[begin:end], stored).astype(dtype).reshape(one["shape"]))
        begin = end
    if begin != len(content):
        raise ValueError("there is more than that")
    return head, image, arrays


@functools.cache
def _schema():
    text = (importlib.resources.files(__package__) / "answers.schema.json").read_text("utf-8")
    return parse_json(text)["$defs"]["in_page_results"]


def _kind(dtype):
    return "i" if dtype.kind == "u" else dtype.kind
