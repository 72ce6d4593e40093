"""Who is let in: those that have the token, by the names of this machine, from the page itself alone."""

import asyncio
import hmac
import ipaddress
import socket

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

#: Bytes of a request's body, and seconds for it.
MOST_BYTES = 1 << 24
BODY_SECONDS = 10.0

#: What every answer says beside itself. Pages have their own policy, which may allow more than this, but no frames.
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # One request for each connection, whose time is bounded.
    "connection": "close",
}
#: The header by which a page says that its own policy stands in it.
OWN_POLICY = {"content-security-policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}


class Guard:
    """An ASGI application that lets requests through to another one, and takes the token from their path.

    Parameters
    ----------
    application : callable
    token : str
    names : Names
        Of the machine.
    """

    def __init__(self, application, token, names):
        self._application, self._token, self._names = application, token.encode(), names

    async def __call__(self, scope, receive, send):
        """Answer a request."""

        async def send_closed(message):
            if message["type"] == "http.response.start":
                given = dict(message["headers"])
                others = {key.encode(): value.encode() for key, value in _HEADERS.items()}
                message = {**message, "headers": list((others | given).items())}
            await send(message)

        try:
            inside = self._inside(scope)
        except HTTPException as refusal:
            answer = JSONResponse({"error": refusal.detail}, refusal.status_code)
            await answer(scope, receive, send_closed)
        else:
            await self._application({**scope, **inside}, receive, send_closed)

    def _inside(self, scope):
        """Return the path without the token; HTTPException if the request is not let in."""
        headers = scope["headers"]
        host, *others = [value.decode("latin-1") for name, value in headers if name == b"host"] or [""]
        if others or not self._names.has(host):
            raise HTTPException(421, "This machine is not called so: take the address that 'refcnn serve' printed.")
        origins = {value.decode("latin-1") for name, value in headers if name == b"origin"}
        if origins - {f"http://{host}"}:
            raise HTTPException(403, "Only the page itself may ask for this.")
        token, slash, path = scope["path"].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(errors="surrogatepass"), self._token):
            raise HTTPException(403, "The token is missing or wrong: take the whole address that was printed.")
        if not slash:
            raise HTTPException(404, "There is nothing here: the address ends with a slash.")
        return {"path": f"/{path}", "raw_path": f"/{path}".encode()}


class Names:
    """What a request may call this machine; another name would be one that a stranger's name server points here.

    Parameters
    ----------
    host : str
        The address or the name that is served.
    address : str
        The address that it stands for.
    """

    def __init__(self, host, address):
        self._is_any = ipaddress.ip_address(address).is_unspecified
        own = {socket.gethostname()} if self._is_any else set()
        self._names = {name.lower() for name in {"localhost", "127.0.0.1", "::1", host, address} | own}

    def has(self, host):
        """Whether a request's Host header, with or without a port, is such a name."""
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        return name in self._names or (self._is_any and _is_address(name))


def _is_address(name):
    """Whether a name is an address, for which no name server is asked."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def body_of(request, most=MOST_BYTES):
    """Return the body of a request, of so many bytes at most.

    Raises
    ------
    HTTPException
        If it is too large, whatever it says of its length, or takes too long.
    """
    declared = request.headers.get("content-length", "")
    too_large = HTTPException(413, f"More than {most:,} bytes are not taken. Make the image smaller.")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, "The image took too long to arrive.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The image did not arrive whole.") from None
    return b"".join(parts)
