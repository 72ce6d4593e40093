"""``refcnn serve``."""

import contextlib
import functools
import importlib.util
import os
import secrets
import traceback

import click

from .predictor_options import PREDICTOR_OPTIONS, predictor_arguments
from .proof_options import with_options
from .verdicts import TRACEBACK

#: What the extra brings.
_LIBRARIES = ("starlette", "uvicorn")


@click.command("serve")
@click.argument("path", metavar="[FILE.onnx|RUN]", required=False)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Of the address.  [default: any that is free]", metavar="N"
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Of this machine. Others than itself reach it by others alone; what goes over the network is not encrypted.",
)
@click.option(
    "--onnxruntime-web",
    "web_folder",
    metavar="DIR",
    help="Where the page has onnxruntime-web from, to run the file in itself beside the others: a folder node_modules, "
    "or the package's own.  [default: ./node_modules, if it is there]",
)
@with_options(*PREDICTOR_OPTIONS)
def command(path, port, host, web_folder, **said):
    """Show in a browser what a network makes of an image, while it is drawn, and how each operation computes.

    Of operations it shows what 'refcnn explain' does, with any choices of your own; without a file or a run these
    pages alone. It prints the page's address, which holds a token that lets nobody else in, and serves until Ctrl-C.
    """
    from ..display import shown
    from ..interruption import stop_if_asked

    require_libraries()
    from ..serve import onnxruntime_web, served, work
    from ..serve.application import application

    _require_path_for(path, {**said, "web_folder": web_folder})
    package = None if path is None else onnxruntime_web.find(web_folder)
    arguments = None if path is None else predictor_arguments(path, said)
    with listening(host, port) as listener:
        network, waiting = None if path is None else served.Served(path, **arguments), work.Work()
        if package is not None:
            click.echo(f"The page loads {package.title} from {shown(package.folder)}", err=True)
        make = functools.partial(application, network, waiting, package)
        what = "Each operation is explained" if path is None else f"{network.name} is served"
        with serving(make, listener, host, what):
            waiting.run(stop_if_asked)


def _require_path_for(path, said):
    """Raise UsageError if options of a network are given without one."""
    if path is None and any(value not in (None, False, ()) for value in said.values()):
        raise click.UsageError("these options are for a network: name a file or a run beside them.")


def require_libraries():
    """Raise ArgumentError if what the extra brings is not there."""
    from ..errors import ArgumentError

    if not all(map(importlib.util.find_spec, _LIBRARIES)):
        raise ArgumentError("a page is served by Starlette and uvicorn: pip install 'refcnn[serve]'")


def listening(host, port):
    """Return a socket that listens, as :func:`refcnn.serve.connections.listening` does."""
    from ..serve import connections

    return connections.listening(host, port)


@contextlib.contextmanager
def serving(make, listener, host, what):
    """Serve an application inside the block, under an address with a token that is printed.

    Parameters
    ----------
    make : callable
        Makes the application of a ``token``, ``names`` and ``report``.
    listener : socket.socket
    host : str
        As it was named.
    what : str
        Is said before the address.
    """
    from ..display import shown
    from ..serve import connections, guard

    address, port = listener.getsockname()[:2]
    token = secrets.token_urlsafe()
    with connections.serving(make(token=token, names=guard.Names(host, address), report=_report), listener):
        if not connections.is_loopback(listener):
            click.echo("Warning: others than this machine reach the page, unencrypted.", err=True)
        host = f"[{address}]" if ":" in address else host
        click.echo(f"{shown(what)} until Ctrl-C at http://{shown(host)}:{port}/{token}/")
        yield


def _report(error):
    """Tell an error at the terminal; a page's client learns nothing of it."""
    from ..display import shown

    if os.environ.get(TRACEBACK):
        click.echo("".join(traceback.format_exception(error)), err=True)
    click.echo(f"Error: {shown(str(error) or type(error).__name__)}", err=True)
