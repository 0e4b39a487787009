"""The supervisor, as real processes: whatever happens to the child, nobody is refused a connection."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from api.fake import SESSION
from stoker.api import listener, supervisor
from stoker.config import read_server_file
from stoker.errors import Invalid

TESTS = Path(__file__).parent.parent
CLAIM = {"session": SESSION, "runner": {"name": "r", "kinds": ["k"]}, "want": 1, "wait_s": 60}


class Supervised:
    """A running supervisor; its lines are read as they come."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.url = ""

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()

    @property
    def children(self) -> list[int]:
        return [int(pid) for pid in (self.folder / "pids").read_text().split()]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def supervised(folder: Path, behaviour: str = "serve", **plan: Any) -> AsyncIterator[Supervised]:
    plan = {
        "factory": "api.served_by_child:factory",
        "arguments": [str(folder), behaviour],
        "environment": {"PYTHONPATH": str(TESTS)},
        "port": 0,
        "data": str(folder),
        "version": "1.2.3",
    } | plan
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stoker.api.supervisor", json.dumps(plan), stdout=-1, stderr=-1
    )
    running = Supervised(process, folder)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def ready(running: Supervised) -> str:
    line = await running.line()
    running.url = line.split(" is ready on ")[1].split()[0]
    return line


async def test_one_line_says_that_it_is_ready_and_where(tmp_path: Path) -> None:
    async with supervised(tmp_path) as running:
        line = await ready(running)
        assert line.startswith("stoker 1.2.3 is ready on http://127.0.0.1:")
        assert f"pid {running.process.pid}" in line
        found = read_server_file(tmp_path)
        assert found is not None
        assert (found.url, found.pid) == (running.url, running.process.pid)
        async with aiohttp.ClientSession() as client, client.get(f"{running.url}/readyz") as response:
            assert response.status == 200


async def test_a_stop_is_graceful_and_leaves_nothing(tmp_path: Path) -> None:
    async with supervised(tmp_path) as running:
        await ready(running)
        running.signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert (tmp_path / "released").exists()
        assert not (tmp_path / "server.json").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(running.children[0], 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_ends_a_held_claim_with_an_empty_answer(tmp_path: Path, number: int) -> None:
    headers = {"Authorization": "Bearer all"}
    async with supervised(tmp_path) as running, aiohttp.ClientSession(headers=headers) as client:
        await ready(running)
        claiming = asyncio.ensure_future(client.post(f"{running.url}/v1/namespaces/n/claims", json=CLAIM))
        async with client.get(f"{running.url}/v1/whoami") as response:  # behind the claim: it has arrived
            assert response.status == 200
        running.signal(number)
        async with await claiming as response:
            assert (response.status, await response.json()) == (200, {})
        assert await running.process.wait() == 0


class Hammer:
    """A client that asks on, each time on a new connection, and counts what it gets."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._answers = 0
        self._counted = asyncio.Condition()
        self.faults: list[BaseException] = []

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as client:
            while True:
                try:
                    async with client.get(f"{self._url}/healthz") as response:
                        assert response.status == 200
                        await response.read()
                except (aiohttp.ClientError, OSError) as fault:
                    self.faults.append(fault)
                async with self._counted:
                    self._answers += 1
                    self._counted.notify_all()

    async def more(self, answers: int) -> None:
        goal = self._answers + answers
        async with self._counted:
            await self._counted.wait_for(lambda: self._answers >= goal)


@asynccontextmanager
async def hammered(url: str, clients: int = 4) -> AsyncIterator[Hammer]:
    hammer = Hammer(url)
    tasks = [asyncio.ensure_future(hammer.run()) for _ in range(clients)]
    try:
        await hammer.more(20)
        yield hammer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_killed_child_is_replaced_and_no_connection_refused(tmp_path: Path) -> None:
    async with supervised(tmp_path) as running:
        await ready(running)
        async with hammered(running.url) as hammer:
            for _ in range(2):
                os.kill(running.children[-1], signal.SIGKILL)
                assert "killed by signal 9" in await running.line()
                assert "serves again" in await running.line()
                await hammer.more(50)
        assert len(set(running.children)) == 3
        assert not [fault for fault in hammer.faults if isinstance(fault, aiohttp.ClientConnectorError)]
        assert len(hammer.faults) <= 8  # only what was in flight when it died: at most one a client and kill


async def test_a_hangup_replaces_the_child_and_every_request_is_answered(tmp_path: Path) -> None:
    async with supervised(tmp_path) as running:
        await ready(running)
        async with hammered(running.url) as hammer:
            for _ in range(2):
                running.signal(signal.SIGHUP)
                assert "serves again" in await running.line()
                await hammer.more(50)
        assert len(set(running.children)) == 3
        assert hammer.faults == []
        assert (tmp_path / "released").exists()


def test_a_child_whose_supervisor_is_gone_before_it_serves_ends_in_order(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with listener.bind("127.0.0.1", 0, insecure=False) as listening, theirs:
        ours.close()
        fds = (listening.fileno(), theirs.fileno())
        command = [sys.executable, "-m", "stoker.api.child", *map(str, fds), "api.served_by_child:factory"]
        done = subprocess.run(
            [*command, str(tmp_path), "serve"],
            pass_fds=fds,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "released").exists()


async def test_a_child_ends_when_its_supervisor_was_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path) as running:
        await ready(running)
        [child] = running.children
        watch = os.pidfd_open(child)
        running.process.kill()
        await running.process.wait()
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(watch, gone.set)
        await gone.wait()
        asyncio.get_running_loop().remove_reader(watch)
        os.close(watch)
        assert (tmp_path / "released").exists()


async def test_a_child_that_refuses_to_start_is_not_tried_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, "refuse") as running:
        out, err = await running.process.communicate()
        assert (running.process.returncode, out) == (2, b"")
        assert err == b"stoker: the schema is newer than this version Install the newer one.\n"


async def test_a_first_child_that_was_killed_is_replaced(tmp_path: Path) -> None:
    async with supervised(tmp_path, "die first") as running:
        assert "killed by signal 9" in await running.line()
        await ready(running)
        assert len(running.children) == 2


async def test_children_that_are_always_killed_end_the_server_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "DELAYS_S", (0.0, 0.0))
    plan = supervisor.Plan(
        factory="api.served_by_child:factory",
        arguments=(str(tmp_path), "die"),
        environment={"PYTHONPATH": str(TESTS)},
        port=0,
    )
    said: list[str] = []
    code = await asyncio.to_thread(_supervised_here, plan, said)
    assert code == 1
    assert len(said) == len((tmp_path / "pids").read_text().split()) == 3


def _supervised_here(plan: supervisor.Plan, said: list[str]) -> int:
    """The supervisor's loop without its signals, which only a main thread may set."""
    with listener.bind(plan.host, plan.port, insecure=False) as bound:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            running = supervisor._Supervisor(plan, bound, ours, said.append)
            theirs.settimeout(0)
            while (code := running._tick()) is None:
                if running._child is not None:
                    running._child._process.wait()
            return code


async def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with supervised(tmp_path, port=port) as running:
            _, err = await running.process.communicate()
            assert running.process.returncode == 2
            assert f"port {port} on 127.0.0.1 is taken" in err.decode()
            assert "--port" in err.decode()
    assert not (tmp_path / "pids").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_tokens_only_loopback_may_be_bound(host: str) -> None:
    with pytest.raises(Invalid) as caught:
        listener.bind(host, 0, insecure=True)
    assert caught.value.code == "not_loopback"
    assert "--insecure" in caught.value.remedy


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: listener.bind("no.such.host.invalid", 0, insecure=False), "has no address"),
        (lambda: listener.bind("192.0.2.1", 0, insecure=False), "cannot listen on 192.0.2.1"),
    ],
    ids=["unknown", "foreign"],
)
def test_a_host_that_cannot_be_bound_is_named(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        make()


def test_an_address_is_shown_as_a_url() -> None:
    with listener.bind("127.0.0.1", 0, insecure=True) as bound:
        port = bound.getsockname()[1]
        assert listener.url(bound, "/p") == f"http://127.0.0.1:{port}/p"


def test_the_supervisor_imports_little() -> None:
    script = "import sys, stoker.api.supervisor; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    for heavy in ("starlette", "uvicorn", "uvloop", "msgspec", "asyncio", "aiohttp", "stoker.engine", "stoker.core"):
        assert heavy not in loaded
