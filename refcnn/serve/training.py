"""A training that can be watched: its curves, the first layer's kernels as they change, and a button that stops it."""

import math
import threading
import time

from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from ..fitting.callbacks import LOSS_INTERVAL, Callback
from ..pages import charts, page, pixels
from . import guard
from .application import assembled
from .quantising import on_one_scale

#: Points of the curve of losses, and pictures of the kernels, that are kept; of more every other one is dropped.
MOST_POINTS, MOST_PICTURES = 600, 64
#: Kernels of a layer that are shown, and seconds between two pictures of them at least.
MOST_KERNELS, KERNEL_INTERVAL = 64, 1.0
#: The curves over epochs: a title, whether they are shares of 1, and the columns of metrics.
_CURVES = (
    ("Loss of epochs", False, {"train_loss": "training", "validation_loss": "validation"}),
    ("Accuracy", True, {"train_accuracy": "training", "validation_accuracy": "validation"}),
)


class Live(Callback):
    """Keeps what a page shows of a training; other threads may read it meanwhile.

    Parameters
    ----------
    name : str
        Of the run.
    first_kernels : Parameter, optional
        Those of the first convolution of images, if there is one.
    """

    def __init__(self, name, first_kernels=None):
        self.name, self._first_kernels = name, first_kernels
        self._lock, self._losses, self._pictures, self._rows = threading.Lock(), [], [], []
        self._place, self._is_over, self._looked, self._pictured = {}, False, -math.inf, -math.inf

    def on_train_begin(self, loop):
        """Take the kernels before the first step, and the epochs that there are."""
        self._enter_rows(loop)
        self._look(loop)

    def on_batch_end(self, loop):
        """Look at the loss now and then: each look waits for the device."""
        now = time.monotonic()
        if now - self._looked >= LOSS_INTERVAL:
            self._looked = now
            self._look(loop, loop.loss)

    def on_epoch_end(self, loop):
        """Take the row of metrics."""
        self._enter_rows(loop)
        self._look(loop)

    def on_train_end(self, loop):
        """Tell that it is over."""
        with self._lock:
            self._is_over = True

    def _enter_rows(self, loop):
        names = [name for _, _, columns in _CURVES for name in columns]
        rows = [{"epoch": row["epoch"], **{name: row[name] for name in names if name in row}} for row in loop.history]
        with self._lock:
            self._rows = rows

    def _look(self, loop, loss=None):
        step, now = len(loop.history) * (loop.batches or 0) + len(loop.losses), time.monotonic()
        is_due = loss is None or now - self._pictured >= KERNEL_INTERVAL
        kernels = self._kernels() if is_due else None
        with self._lock:
            self._place = {"epoch": len(loop.history), "epochs": loop.epochs, "step": step}
            if loss is not None and math.isfinite(loss):
                self._losses = _thinned([*self._losses, (step, loss)], MOST_POINTS)
            if kernels is not None:
                self._pictured = now
                self._pictures = _thinned([*self._pictures, {"step": step, **kernels}], MOST_PICTURES)

    def _kernels(self):
        """Return the first kernels, (kernels * channels, height, width), quantised; None if there are none."""
        if self._first_kernels is None:
            return None
        array = self._first_kernels.as_ndarray()[:MOST_KERNELS]
        return {**on_one_scale(array.reshape(-1, *array.shape[2:])), "channels": array.shape[1]}

    def state(self, after=-1):
        """Return what is known, in the form of the answer, with the pictures after a step."""
        with self._lock:
            return {
                **self._place,
                "is_over": self._is_over,
                "losses": [list(point) for point in self._losses],
                "history": list(self._rows),
                "kernels": [picture for picture in self._pictures if picture["step"] > after],
            }

    def charts(self):
        """Return the curves that there are numbers for, as :func:`refcnn.pages.charts.line_chart` gives them."""
        with self._lock:
            losses, rows = dict(self._losses), list(self._rows)
        found = (
            [charts.line_chart("Loss of batches", [charts.Line("training", losses)], x_name="step")] if losses else []
        )
        for title, percent, columns in _CURVES:
            points = {
                name: {row["epoch"]: row[column] for row in rows if math.isfinite(row.get(column, math.nan))}
                for column, name in columns.items()
            }
            lines = [charts.Line(name, of, place) for place, (name, of) in enumerate(points.items()) if of]
            if lines:
                found.append(charts.line_chart(title, lines, percent=percent))
        return found


def _thinned(entries, most):
    """Return every other of too many entries, among them the first and the last."""
    return entries if len(entries) <= most else [*entries[:-1:2], entries[-1]]


def application(live, stop, *, token, names, report):
    """Return the ASGI application that shows a training.

    Parameters
    ----------
    live : Live
    stop : callable
        Asks the training to end as Ctrl-C does.
    token, names, report
        As of :func:`refcnn.serve.application.assembled`.
    """
    environment = page.environment(__package__)
    data = {"diverging": pixels.DIVERGING}
    text = page.render(
        environment, "training.html.jinja", scripts=["training.js"], connects=True, data=data, name=live.name
    )
    curves = environment.get_template("charts.html.jinja")

    async def give_page(request):
        return HTMLResponse(text, headers=guard.OWN_POLICY)

    async def tell(request):
        after = request.query_params.get("after", "")
        return JSONResponse(live.state(int(after) if after.isdecimal() and len(after) < 16 else -1))

    async def draw(request):
        return HTMLResponse(curves.render(charts=live.charts()))

    async def end(request):
        stop()
        return JSONResponse({"is_stopping": True})

    routes = [Route("/", give_page), Route("/api/training", tell), Route("/charts", draw)]
    routes += [Route("/api/stop", end, methods=["POST"])]
    return assembled(routes, token=token, names=names, report=report)
