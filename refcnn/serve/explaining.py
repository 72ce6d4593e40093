"""Pages that explain operations, with choices that are computed when they are made."""

import functools

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from .. import rooms
from ..errors import RefcnnError
from ..explain import chapter, choices, live, live_pages
from . import guard
from .computing import computed
from .refusing import Refusal
from .work import SUPERSEDED

#: Bytes of what is chosen.
_MOST_BYTES = 1 << 18
#: What no operation is called.
_CHAPTER = "chapter"


class Explanations:
    """What is asked for under ``explain/``, and by its pages.

    Parameters
    ----------
    work, report
        As of :func:`refcnn.serve.computing.computed`.
    """

    def __init__(self, work, report):
        self._work, self._report = work, report
        # Each is made once, by the computing thread.
        self._operations = functools.cache(live_pages.operations_page)
        self._chapter = functools.cache(chapter.served_chapter)
        self._page = functools.cache(live_pages.operation_page)

    def routes(self):
        """Return what there is."""
        return [
            Route("/explain/", self._give_operations),
            Route("/explain/{name}", self._give_page),
            Route("/api/explain/{name}", self._compute, methods=["POST"]),
        ]

    async def _give_operations(self, request):
        return await self._given(request, self._operations)

    async def _give_page(self, request):
        name = request.path_params["name"]
        if name == _CHAPTER:
            return await self._given(request, self._chapter)
        return await self._given(request, functools.partial(self._page, _operation(name)))

    async def _given(self, request, make):
        found = await computed(request, self._work, self._report, make)
        return HTMLResponse(found, headers=guard.OWN_POLICY)

    async def _compute(self, request):
        operation, content = _operation(request.path_params["name"]), await guard.body_of(request, _MOST_BYTES)
        found = await computed(request, self._work, self._report, functools.partial(_chosen, operation, content))
        return JSONResponse({"superseded": True} if found is SUPERSEDED else found)


def _operation(name):
    if name not in rooms.operations():
        raise HTTPException(404, "There is no such operation.")
    return name


def _chosen(operation, content):
    """Return what is computed; Refusal, with what the library says, if it does not take what was chosen."""
    try:
        return live.computed(operation, choices.read(content))
    except RefcnnError as error:
        raise Refusal(str(error)) from None
