"""Connections of a server: one request each, bounded in number and time, so that no client holds another up."""

import contextlib
import ipaddress
import socket
import threading

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import ArgumentError

#: Connections at a time, and seconds for a request's line and headers, and for taking the answer.
MOST_CONNECTIONS = 32
HEAD_SECONDS, ANSWER_SECONDS = 5.0, 30.0
_BACKLOG = 128
#: Seconds for the requests under way when the server ends.
_LAST_SECONDS = 1.0


class Connection(H11Protocol):
    """A connection that is ended if its client is slow, or others need its place while it has asked for nothing."""

    def connection_made(self, transport):
        """Take a new connection, if need be in place of the oldest of those that have not asked for anything."""
        super().connection_made(transport)
        self._number = self.server_state.taken = getattr(self.server_state, "taken", 0) + 1
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._end_silent)
        if len(self.connections) > MOST_CONNECTIONS:
            silent = (one for one in self.connections if one.cycle is None)
            min(silent, key=lambda one: one._number).end()

    def _end_silent(self):
        if self.cycle is None:
            self.end()

    def end(self):
        """End the connection at once, and make its place free."""
        self.connections.discard(self)
        self.transport.abort()

    def on_response_complete(self):
        """Let the client take the answer, but not for ever."""
        super().on_response_complete()
        self._deadline.cancel()
        self._deadline = self.loop.call_later(ANSWER_SECONDS, self.end)

    def connection_lost(self, exc):
        """Forget the connection."""
        self._deadline.cancel()
        super().connection_lost(exc)


def listening(host, port):
    """Return a socket that listens.

    Parameters
    ----------
    host : str
        An address or a name of this machine.
    port : int
        0 for any that is free.

    Raises
    ------
    ArgumentError
        If there is no such address here, or the port is in use.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # As the system's default has it, but on Windows: there it would share the port with another program.
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "it is no address"
        raise ArgumentError(
            f"--host {host} --port {port} cannot be served: {reason}. Name another port, or leave --port out for one "
            "that is free."
        ) from error


def is_loopback(listener):
    """Whether a socket can be reached from this machine alone."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


@contextlib.contextmanager
def serving(application, listener):
    """Serve an ASGI application on a socket in a thread of its own, inside the block.

    Parameters
    ----------
    application : callable
    listener : socket.socket
    """
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        # What clients do wrong concerns nobody at the terminal.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="refcnn serve", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join(2 * _LAST_SECONDS)
