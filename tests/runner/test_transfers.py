"""Files and large results while the server is away: the attempt waits, as its report would, unless it is to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner import nodes
from runner.fakes import FakeNode, FakeServer, completed, failed
from stoker.authoring import File
from stoker.core.protocol import Complete, Fail, Release
from stoker.core.views import ArtifactView
from stoker.errors import Unavailable
from stoker.runner.partial import DAMAGED
from stoker.runner.runner import Runner


class Away(FakeServer):
    """Its artifacts cannot be reached the first `refusals` times; `asked` counts."""

    def __init__(self, refusals: float, code: str = "unavailable") -> None:
        super().__init__()
        self.refusals = refusals
        self.code = code
        self.asked = 0

    async def upload(self, namespace: str, name: str, media_type: str, content: bytes | Path) -> ArtifactView:
        self._refuse()
        return await super().upload(namespace, name, media_type, content)

    async def download(self, namespace: str, artifact: int, folder: Path) -> Path:
        self._refuse()
        return await super().download(namespace, artifact, folder)

    def _refuse(self) -> None:
        with self._lock:
            self.asked += 1
            self._lock.notify_all()
        if self.asked <= self.refusals:
            raise Unavailable("nobody answers", code=self.code)


@contextmanager
def serving(server: Away, *functions: Any) -> Iterator[Away]:
    served = [one if isinstance(one, FakeNode) else FakeNode(one) for one in functions]
    with Runner(served, transport=server, grace=0, workers=2):
        yield server


def large() -> str:
    return "x" * (2 * 1024 * 1024)


async def large_soon() -> str:
    return large()


def reads(source: dict[str, int]) -> str:
    return File.of(source["$artifact"]).read_text()


@pytest.mark.parametrize("function", [large, large_soon])
def test_a_large_result_waits_for_the_server(function: Callable[..., Any]) -> None:
    with serving(Away(2), function) as server:
        report = server.outcome(server.offer(function.__name__))
        assert isinstance(report, Complete)
        assert report.items[0].artifact is not None
        assert len(msgspec.json.decode(server.artifacts[report.items[0].artifact])) == 2 * 1024 * 1024
    assert server.asked == 3


def test_a_file_is_waited_for() -> None:
    with serving(Away(2), reads) as server:
        server.artifacts[7] = b"hey"
        assert completed(server.outcome(server.offer("reads", source={"$artifact": 7}))) == "hey"
    assert server.asked == 3


@pytest.mark.parametrize("kind", ["iso_copies", "iso_large"])
def test_an_isolated_node_waits_too(kind: str) -> None:
    with serving(Away(1), *(node for node in vars(nodes).values() if isinstance(node, FakeNode))) as server:
        server.artifacts[7] = b"hello"
        inputs = {"source": {"$artifact": 7}} if kind == "iso_copies" else {}
        assert isinstance(server.outcome(server.offer(kind, **inputs)), Complete)
    assert server.asked > 1


@pytest.mark.parametrize("function", [large, reads])
def test_a_stop_ends_the_waiting(function: Callable[..., Any]) -> None:
    with serving(Away(float("inf")), function) as server:
        inputs = {"source": {"$artifact": 7}} if function is reads else {}
        task = server.offer(function.__name__, **inputs)
        server.until(lambda: server.asked >= 2)
        assert not [report for report in server.reports if isinstance(report, Fail)]
        server.stop(task)
        assert isinstance(server.outcome(task), Release)


def test_a_damaged_artifact_is_not_waited_for() -> None:
    with serving(Away(1, DAMAGED), reads) as server:
        server.artifacts[7] = b"hey"
        failed(server.outcome(server.offer("reads", source={"$artifact": 7})))
    assert server.asked == 1
