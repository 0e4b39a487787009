"""The listening socket: bound once, owned by the supervisor, inherited by each serving child."""

from __future__ import annotations

import errno
import socket

from stoker.errors import Invalid

BACKLOG = 2048


def bind(host: str, port: int, *, insecure: bool) -> socket.socket:
    """A socket that listens on the address. Invalid, with the remedy, if it cannot or must not be bound."""
    family, address = _resolve(host, port)
    if insecure and not _loopback(address[0]):
        raise Invalid(
            f"a server without tokens may only listen on loopback, not on {host}",
            code="not_loopback",
            place="--host",
            remedy="Leave out --host, or leave out --insecure.",
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def url(listener: socket.socket, path_prefix: str = "") -> str:
    """Where a client on this machine finds it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound
    return f"http://[{host}]:{port}{path_prefix}" if ":" in host else f"http://{host}:{port}{path_prefix}"


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Invalid(
            f"the host {host!r} has no address: {error.strerror or error}",
            code="bad_host",
            place="--host",
            remedy="Name an address of this machine, like 127.0.0.1.",
        ) from None
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def _refused(host: str, port: int, error: OSError) -> Invalid:
    if error.errno == errno.EADDRINUSE:
        return Invalid(
            f"port {port} on {host} is taken by another process",
            code="port_taken",
            place="--port",
            remedy="Name a free one with --port, or 0 for any.",
        )
    return Invalid(
        f"cannot listen on {host} port {port}: {error.strerror}",
        code="cannot_bind",
        place="--host, --port",
        remedy="Name an address of this machine and a port that you may bind (from 1024).",
    )
