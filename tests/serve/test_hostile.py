"""Requests that no page of ours makes: each fails as it should, and holds up nobody else."""

import contextlib
import json
import re
import socket
import struct
import threading
import zlib

import pytest

from refcnn.serve import connections, guard

from .conftest import line_image, png

WHERE = "api/prediction"


def works(running):
    """Assert that the server still answers those whom it should."""
    assert running.json(WHERE, png(line_image()))["classes"][0]["name"] == "upright"


def refused(running, status, *arguments, **options):
    """Assert that a request is refused with a status, and return what is said of it."""
    found, headers, content = running.ask(*arguments, **options)
    assert found == status
    assert headers["content-security-policy"].startswith("default-src 'none'")
    said = json.loads(content)["error"]
    assert not re.search(r"\b0x[0-9a-f]", said)
    for leaked in (running.token, "Traceback", "/", ".onnx", ".py"):
        assert leaked not in said
    works(running)
    return said


@contextlib.contextmanager
def connected(running):
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
        yield client


def answer_of(client):
    """Return all that comes until the server ends the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 16):
            found += part
    return found


def test_another_origin(running):
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{running.port}", "http://127.0.0.1:1"):
        said = refused(running, 403, WHERE, png(line_image()), headers={"Origin": origin})
        assert said.startswith("Only the page itself")
    own = {"Origin": f"http://127.0.0.1:{running.port}"}
    assert running.json(WHERE, png(line_image()), headers=own)["classes"]


@pytest.mark.parametrize("path", ["", "/", "//", "/api/model", "/api/prediction", "/?token={token}", "/favicon.ico"])
def test_no_token(running, path):
    refused(running, 403, whole=path.format(token=running.token) or "/")


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda token: token[:-1], lambda token: token + "x"])
def test_a_wrong_token(running, change):
    refused(running, 403, whole=f"/{change(running.token)}/")
    refused(running, 403, png(line_image()), whole=f"/{change(running.token)}/api/prediction", method="POST")


def test_a_token_of_letters_that_are_no_ascii(running):
    refused(running, 403, whole="/%C3%A9%FF%00/")


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "api/../../setup.cfg",
        "api/%5c..%5c..",
        "serve.js",
        "api/prediction/",
    ],
)
def test_a_path_outside(running, path):
    found, _, content = running.ask(path)
    assert found in (403, 404) and len(content) < 200
    assert b"root:" not in content


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1"])
def test_a_name_that_is_not_this_machines(running, host):
    assert refused(running, 421, headers={"Host": host}).startswith("This machine is not called so")


def test_no_name_or_two(running):
    for hosts in (b"", b"Host: 127.0.0.1\r\nHost: evil.example\r\n"):
        with connected(running) as client:
            client.sendall(b"GET /%s/ HTTP/1.%d\r\n%s\r\n" % (running.token.encode(), bool(hosts), hosts))
            assert answer_of(client).split(b" ")[1] in (b"400", b"421")
    works(running)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "LOCALHOST:80", "[::1]:8080"])
def test_names_of_this_machine(running, host):
    """The port may be another one, that of a tunnel."""
    assert running.json("api/model", headers={"Host": host})["name"] == "lines.onnx"


def test_names_where_all_addresses_are_served():
    names = guard.Names("0.0.0.0", "0.0.0.0")
    assert names.has("192.168.1.7:80") and names.has("[fe80::1]") and names.has(socket.gethostname())
    assert not names.has("evil.example") and not names.has("")


def test_a_huge_body_that_says_so(running):
    length = {"Content-Length": str(guard.MOST_BYTES + 1)}
    assert "bytes are not taken" in refused(running, 413, WHERE, b"", headers=length, method="POST")
    refused(running, 413, WHERE, b"", headers={"Content-Length": "9" * 19}, method="POST")


def test_a_huge_body_that_says_nothing(running):
    with connected(running) as client:
        head = f"POST /{running.token}/{WHERE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head.encode())
        part = b"%x\r\n%s\r\n" % (1 << 20, bytes(1 << 20))
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 4 * guard.MOST_BYTES:
                client.sendall(part)
                sent += 1 << 20
        assert guard.MOST_BYTES <= sent < 4 * guard.MOST_BYTES
        # The answer may be lost, as what the client sent on was not taken.
        assert (found := answer_of(client)) == b"" or b" 413 " in found
    works(running)


def test_headers_that_never_end(running):
    with connected(running) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(1000):
                client.sendall(b"X-%d: %s\r\n" % (number, b"A" * 1000))
        assert b" 400 " in (found := answer_of(client)) or found == b""
    works(running)


def test_slow_clients(running, monkeypatch):
    """One that says nothing, one whose headers stop, and one whose body does: each is ended, and others go on."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)
    with connected(running) as silent, connected(running) as half, connected(running) as slow:
        half.sendall(b"GET / HTTP/1.1\r\nHost: local")
        head = f"POST /{running.token}/{WHERE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n12"
        slow.sendall(head.encode())
        works(running)
        assert answer_of(silent) == answer_of(half) == b""
        assert b" 408 " in answer_of(slow)


def test_a_client_that_does_not_take_its_answer(running, monkeypatch):
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.2)
    with connected(running) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.sendall(f"GET /{running.token}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        works(running)


def test_many_clients(running):
    """More than there is room for, which say nothing: the oldest make room."""
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(connected(running)) for _ in range(3 * connections.MOST_CONNECTIONS)]
        works(running)
        assert answer_of(clients[0]) == b""


def test_many_requests_that_wait(running):
    """As many as there is room for have their answer, though others come meanwhile."""
    release, begun = threading.Event(), threading.Event()
    running.work._submit(lambda: (begun.set(), release.wait(30)), None, True)
    assert begun.wait(30)
    content = png(line_image())
    head = f"POST /{running.token}/{WHERE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(connected(running)) for _ in range(3 * connections.MOST_CONNECTIONS)]
        for client in reversed(clients):
            with contextlib.suppress(ConnectionError):
                client.sendall(head.encode() + content)
        release.set()
        answered = [b" 200 " in answer_of(client) for client in clients]
        assert 0 < sum(answered) <= connections.MOST_CONNECTIONS
        works(running)


def test_a_body_that_is_no_image(running):
    for content in (b"", b"no image", b"\x89PNG\r\n\x1a\n", png(line_image())[:-30], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        assert "could not be read as an image" in refused(running, 422, WHERE, content)
    assert running.reported == []


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("side", [8_000, 50_000])
def test_a_bomb(running, side):
    """A small file that says that it has many pixels: more than its bytes can hold, or than anybody reads."""
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    said = refused(running, 422, WHERE, bomb)
    assert "but is a file of" in said if side == 8_000 else "exceeds limit" in said


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET"])
def test_a_method_that_is_not_there(running, method):
    refused(running, 405, WHERE, method=method)


def test_a_page_is_only_read(running):
    refused(running, 405, "", b"", method="POST")


def test_what_is_no_http(running):
    with connected(running) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(99))
        assert b" 400 " in answer_of(client)
    works(running)


def test_a_websocket_is_none(running):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    status, *_ = running.ask(WHERE, headers=headers | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert status == 405
    works(running)


def test_a_model_that_fails_tells_the_terminal_alone(running, monkeypatch):
    from refcnn.errors import DataError
    from refcnn.serve.served import Served

    for error in (DataError("/home/a/secret.onnx cannot be computed"), ValueError("/home/a/secret.onnx")):

        def fail(self, content, error=error):
            raise error

        with monkeypatch.context() as context:
            context.setattr(Served, "_read", fail)
            _, _, content = running.ask(WHERE, png(line_image()))
        assert b"secret" not in content and json.loads(content)["error"]
        assert running.reported.pop() is error
    works(running)
