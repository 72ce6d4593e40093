"""Answers that the computing thread gives, while their client waits."""

import asyncio
import contextlib

from starlette.exceptions import HTTPException

from ..errors import RefcnnError
from .refusing import Refusal
from .work import Busy

#: Characters by which a page tells its requests from those of others.
_MOST_NAME = 64


async def computed(request, work, report, compute, **options):
    """Return what ``compute()`` returns in the computing thread.

    Parameters
    ----------
    request : starlette.requests.Request
        Of several that wait with one path and ``?page=NAME`` only the newest is computed.
    work : Work
    report : callable
        Tells an error at the terminal, of which the client learns nothing.
    compute, **options
        As of :meth:`refcnn.serve.work.Work.result`.

    Raises
    ------
    HTTPException
        If it cannot be had, with what the client may know of the reason.
    """
    sender = request.query_params.get("page", "")[:_MOST_NAME]
    key = (request.scope["path"], sender) if sender else None
    try:
        return await _while_there(request, work.result(compute, key=key, **options))
    except Busy:
        raise HTTPException(503, "Too much is asked for at once: try again.") from None
    except Refusal as error:
        raise HTTPException(422, str(error)) from None
    except RefcnnError as error:
        report(error)
        raise HTTPException(500, "This could not be computed; the terminal says why.") from None


async def _while_there(request, waiting):
    """Return what a coroutine returns, and end it when the client is gone."""

    async def gone():
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(waiting), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise HTTPException(400, "The client is gone.")
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
