"""The server's application: the page, and what it asks for."""

import functools
import re

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ..pages import page, pixels
from . import guard
from .centring import FORMS
from .computing import computed
from .explaining import Explanations
from .in_page import InPage
from .served import METHODS, OCCLUSION
from .work import SUPERSEDED

#: What runs on the page, in this order.
_SCRIPTS = ("serve.js", "camera.js", "layers.js", "gradients.js", "executors.js", "in_page.js", "saliency.js")
#: As many as no network has layers.
_NUMBERS = re.compile(r"\d{1,9}(,\d{1,9}){0,4095}", re.ASCII)


class _Answers:
    """What is asked for under the token.

    Parameters
    ----------
    served : Served
    work : Work
        What computes.
    report : callable
        ``report(error)`` tells an error at the terminal, of which the client learns nothing.
    package : refcnn.serve.onnxruntime_web.Package or None
    """

    def __init__(self, served, work, report, package):
        self._served, self._work, self._report = served, work, report
        self._in_page = None if package is None else InPage(served, package)
        self._description = {
            **served.description(),
            "most_bytes": guard.MOST_BYTES,
            "diverging": pixels.DIVERGING,
            "onnxruntime_web": None if package is None else package.description(),
        }
        environment = page.environment(__package__)
        self._page = page.render(
            environment,
            "serve.html.jinja",
            scripts=_SCRIPTS,
            connects=True,
            loads=package is not None,
            data=self._description,
            model=self._description,
            form=FORMS[self._description["form"]],
        )

    def routes(self):
        """Return what there is."""
        return [
            Route("/", self._give_page),
            Route("/api/model", self._describe),
            Route("/api/prediction", self._predict, methods=["POST"]),
            Route("/api/layers", self._show_layers, methods=["POST"]),
            Route("/api/walk", self._walk, methods=["POST"]),
            Route("/api/gradients", self._show_gradients, methods=["POST"]),
            Route("/api/gradient-walk", self._walk_back, methods=["POST"]),
            Route("/api/executors", self._compare, methods=["POST"]),
            Route("/api/saliency", self._show_saliency, methods=["POST"]),
            *([] if self._in_page is None else self._in_page.routes(self._computed)),
        ]

    async def _give_page(self, request):
        return HTMLResponse(self._page, headers=guard.OWN_POLICY)

    async def _describe(self, request):
        return JSONResponse(self._description)

    async def _predict(self, request):
        return await self._computed(request, self._served.prediction, is_urgent=True)

    async def _show_layers(self, request):
        return await self._computed(request, functools.partial(self._served.layers, wanted=_wanted(request)))

    async def _walk(self, request):
        layer = _one_number(request.query_params.get("layer", ""))
        if layer is None:
            raise HTTPException(422, "The number of a layer is expected.")
        index = _numbers(request.query_params.get("index", ""))
        return await self._computed(request, functools.partial(self._served.walk, number=layer, index=index))

    async def _show_gradients(self, request):
        said = {"number": _one_number(request.query_params.get("class", "")), "wanted": _wanted(request)}
        return await self._computed(request, functools.partial(self._served.gradients, **said))

    async def _walk_back(self, request):
        number, layer = (_one_number(request.query_params.get(name, "")) for name in ("class", "layer"))
        said = {"number": number, "layer": layer, "index": _numbers(request.query_params.get("index", ""))}
        return await self._computed(request, functools.partial(self._served.gradient_walk, **said))

    async def _compare(self, request):
        return await self._computed(request, self._served.executors)

    async def _show_saliency(self, request):
        method = request.query_params.get("method", OCCLUSION)
        if method not in METHODS:
            raise HTTPException(422, f"The methods are {', '.join(METHODS)}.")
        number, layer = (_one_number(request.query_params.get(name, "")) for name in ("class", "layer"))
        said = {"method": method, "number": number, "layer": layer}
        return await self._computed(request, functools.partial(self._served.saliency, **said))

    async def _computed(self, request, compute, *, is_urgent=False, most=guard.MOST_BYTES):
        """Answer with what is computed of the image in a request's body, or of what else is posted."""
        form = request.query_params.get("form", "")
        if form and form not in FORMS:
            raise HTTPException(422, f"The forms are {', '.join(FORMS)}.")
        content = await guard.body_of(request, most)

        def of_content():
            return compute(self._served.formed(content, form) if form else content)

        found = await computed(request, self._work, self._report, of_content, is_urgent=is_urgent)
        if isinstance(found, bytes):
            return Response(found, media_type="application/octet-stream")
        return JSONResponse({"superseded": True} if found is SUPERSEDED else found)


def _numbers(text):
    """Return the whole numbers of a list with commas between them; none if it is empty."""
    if text and not _NUMBERS.fullmatch(text):
        raise HTTPException(422, "Whole numbers with commas between them are expected.")
    return tuple(map(int, text.split(","))) if text else ()


def _wanted(request):
    """Return the numbers of the layers whose maps are wanted, None where that is left to the server."""
    wanted = request.query_params.get("layers")
    return None if wanted is None else _numbers(wanted)


def _one_number(text):
    """Return a whole number, None of an empty text."""
    numbers = _numbers(text)
    if len(numbers) > 1:
        raise HTTPException(422, "One whole number is expected.")
    return numbers[0] if numbers else None


async def _refuse(request, refusal):
    return JSONResponse({"error": refusal.detail}, refusal.status_code, headers=refusal.headers)


def application(served, work, package=None, *, token, names, report):
    """Return the ASGI application that shows what a network sees, and explains operations.

    Parameters
    ----------
    served : Served or None
        Without one operations alone are explained.
    work, report, package
        As of the answers.
    token, names
        As of :func:`assembled`.
    """
    routes = [Route("/", _lead_to_explanations)]
    if served is not None:
        routes = _Answers(served, work, report, package).routes()
    routes += Explanations(work, report).routes()
    return assembled(routes, token=token, names=names, report=report)


async def _lead_to_explanations(request):
    return RedirectResponse("explain/")


def assembled(routes, *, token, names, report):
    """Return an ASGI application behind the guard.

    Parameters
    ----------
    routes : list of starlette.routing.Route
    token : str
    names : refcnn.serve.guard.Names
    report : callable
        Tells an error at the terminal, of which the client learns nothing.
    """

    async def fault(request, error):
        report(error)
        return JSONResponse({"error": "refcnn has a fault here; the terminal says more."}, 500)

    made = Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: fault})
    made.router.redirect_slashes = False
    return guard.Guard(made, token, names)
