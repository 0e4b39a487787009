"""What a runner and the process of an isolated node say to each other: length-prefixed JSON over two pipes.

Down: `Begin`, then `Cancel` and the answers to what the child asks. Up: progress and log as they come, `Fetch` and
`Store` where user code opens or returns files, and at the end one outcome.
"""

from __future__ import annotations

from typing import BinaryIO

import msgspec

from stoker.core import protocol

_LENGTH = 4


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="verb"):
    pass


class Begin(_Frame, frozen=True, tag="begin"):
    """Where the node is: a module to import, or (`__main__`, a script) a file to run, and the name in it."""

    assignment: protocol.Assignment
    module: str
    file: str
    name: str
    path: list[str]
    deadline: float | None


class Cancel(_Frame, frozen=True, tag="cancel"):
    pass


class Answer(_Frame, frozen=True, tag="answer"):
    """Answers the child's last question; `error` says why it could not be done."""

    path: str = ""
    artifact: int = 0
    error: str = ""


class Fetch(_Frame, frozen=True, tag="fetch"):
    artifact: int


class Store(_Frame, frozen=True, tag="store"):
    path: str
    name: str
    media_type: str


Down = Begin | Cancel | Answer
Up = Fetch | Store | protocol.Report

down = msgspec.json.Decoder(Down)
up = msgspec.json.Decoder(Up)


def pack(frame: msgspec.Struct) -> bytes:
    body = msgspec.json.encode(frame)
    return len(body).to_bytes(_LENGTH, "big") + body


def read(pipe: BinaryIO) -> bytes | None:
    """Read one frame from a blocking pipe; None at its end."""
    head = _read(pipe, _LENGTH)
    return None if head is None else _read(pipe, int.from_bytes(head, "big"))


def _read(pipe: BinaryIO, length: int) -> bytes | None:
    """Read so many bytes; a pipe gives them in parts. None if it ends before."""
    parts: list[bytes] = []
    while length:
        if not (part := pipe.read(length)):
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class Splitter:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        frames = []
        while len(self._buffer) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "big")
            if len(self._buffer) < end:
                break
            frames.append(bytes(self._buffer[_LENGTH:end]))
            del self._buffer[:end]
        return frames
