"""A network that can be cut, held up and slowed down, in front of a server that echoes."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from stoker.selftest.wire import Wire


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1_000):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        wire = Wire(f"http://127.0.0.1:{server.server_address[1]}")
        yield wire
        wire.close()
        server.shutdown()
        thread.join()


@pytest.fixture
def line(wire: Wire) -> Iterator[socket.socket]:
    with _connected(wire) as line:
        yield line


def _connected(wire: Wire) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", int(wire.url.rpartition(":")[2])))
    line.settimeout(10)
    return line


def echoed(line: socket.socket, data: bytes = b"hello") -> bytes:
    line.sendall(data)
    return line.recv(1_000)


def broken(line: socket.socket) -> bool:
    """Whether a connection ends, in whatever way; what was under way may still arrive."""
    try:
        while echoed(line):
            pass
    except ConnectionError:
        pass
    return True


def test_what_is_sent_arrives(line: socket.socket) -> None:
    assert echoed(line) == b"hello"


def test_a_cut_ends_connections_and_new_ones_work(wire: Wire, line: socket.socket) -> None:
    assert echoed(line) == b"hello"
    wire.cut()
    assert broken(line)
    with _connected(wire) as other:
        assert echoed(other) == b"hello"


def test_what_is_held_up_arrives_when_it_is_healed(wire: Wire, line: socket.socket) -> None:
    assert echoed(line) == b"hello"
    wire.hold()
    line.settimeout(0.2)
    with pytest.raises(TimeoutError):
        echoed(line, b"late")
    wire.heal()
    line.settimeout(10)
    assert line.recv(1_000) == b"late"


def test_a_slow_one_takes_its_time_each_way(wire: Wire, line: socket.socket) -> None:
    wire.slow(0.1)
    begun = time.monotonic()
    assert echoed(line) == b"hello"
    assert time.monotonic() - begun >= 0.2


def test_a_server_that_is_away_refuses_and_may_come_back() -> None:
    with Server(("127.0.0.1", 0), Echo) as server:
        port = server.server_address[1]
    wire = Wire(f"http://127.0.0.1:{port}")
    try:
        with _connected(wire) as line:
            assert broken(line)
    finally:
        wire.close()
