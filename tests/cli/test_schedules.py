"""Schedules on the command line and in the client: made, listed, shown, paused, run, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import stoker as package
from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.errors import Invalid, NotFound

GRAPH = """
import stoker


@stoker.graph
def asking(what: str, day: str = ""):
    return stoker.wait("answer", what=what, day=day)
"""


@pytest.fixture
def graph(stoker: Stoker, folder: Path, server: Embedded) -> Iterator[Any]:
    """A graph whose runs wait, pushed to a live server; its schedules are deleted afterwards."""
    (folder / "asking.py").write_text(GRAPH)
    from stoker.cli.load import load

    found = load(folder / "asking.py").graphs["asking"]
    with server.client() as client:
        client.push(found)
        yield found
        for view in client.schedules.list():
            client.schedules.delete(view.name)


NIGHTLY = ("schedules", "create", "nightly", "asking", "--cron", "30 6 * * *", "--zone", "Europe/Berlin")


@pytest.mark.usefixtures("graph")
def test_a_schedule_is_made_listed_shown_run_and_deleted(stoker: Stoker) -> None:
    made = stoker(*NIGHTLY, "-i", "what=now", "--logical-time-as", "day", "--tag", "team=blue").out
    assert made.startswith("schedule nightly is made; next: ")
    assert stoker(*NIGHTLY, "-i", "what=then").out.startswith("schedule nightly is changed")
    table = stoker("schedules", "list").out.splitlines()
    assert table[0].split() == ["SCHEDULE", "GRAPH", "WHEN", "NEXT"]
    assert table[1].startswith("nightly")
    assert "30 6 * * * (Europe/Berlin)" in table[1]
    shown = stoker("schedules", "show", "nightly").out
    assert "it is due next at" in shown
    assert "it has not been due yet" in shown
    assert len(stoker("schedules", "next", "nightly", "--count", "3").out.splitlines()) == 3
    assert "has not been due yet" in stoker("schedules", "history", "nightly").err
    run = stoker("schedules", "run", "nightly", "--idempotency-key", "k").out
    assert stoker("schedules", "run", "nightly", "--idempotency-key", "k").out == run
    (firing,) = stoker("schedules", "history", "nightly", "-o", "json").json["items"]
    assert run == f"run {firing['run']} of schedule nightly\n"
    assert "fired (by hand)" in stoker("schedules", "history", "nightly").out
    assert "nightly, due " in stoker("runs", "get", str(firing["run"])).out
    assert "was started by hand" in stoker("explain", "schedule:nightly").out
    assert stoker("schedules", "delete", "nightly").out == "schedule nightly is deleted\n"
    assert "no schedules yet" in stoker("schedules", "list").err


@pytest.mark.usefixtures("graph")
def test_a_paused_schedule_has_no_next_time(stoker: Stoker) -> None:
    stoker(*NIGHTLY, "-i", "what=now")
    assert stoker("schedules", "pause", "nightly").out == (
        "schedule nightly is paused; `stoker schedules resume nightly` has it go on\n"
    )
    assert "is paused" in stoker("schedules", "next", "nightly").err
    assert "remedy: `stoker schedules resume nightly`" in stoker("explain", "schedule:nightly").out
    assert stoker("schedules", "resume", "nightly").out.startswith("schedule nightly goes on; next: 20")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--cron", "0 0 30 2 *"), "'0 0 30 2 *' cannot be meant: bad day-of-month"),
        (("--cron", "30 6 * * *", "--zone", "Berlin"), "there is no time zone 'Berlin'"),
        ((), "either `cron` or `every`"),
        (("--every", "10ms"), "shorter than 1 s"),
        (("--every", "1h", "-i", "what=@x.txt"), "names a file"),
    ],
)
@pytest.mark.usefixtures("graph")
def test_what_cannot_be_meant_is_said(stoker: Stoker, flags: tuple[str, ...], says: str) -> None:
    answer = stoker("schedules", "create", "nightly", "asking", *flags)
    assert answer.code in (1, 2)
    assert says in answer.err


def test_the_client_pushes_the_graph_and_keeps_the_schedule(server: Embedded, graph: Any) -> None:
    with server.client() as client:
        later = datetime(2099, 1, 1, tzinfo=UTC)
        given = {"what": "x"}
        view = client.schedules.put("often", graph, every="15m", start=later, inputs=given, logical_time_as="day")
        assert (view.created, len(view.next), view.next[0]) == (True, 5, later)
        run = client.schedules.run("often")
        (wait,) = client.waits(run.id)
        shown = client.shown(wait.id)
        assert shown["what"] == "x"
        assert shown["day"].endswith("+00:00")
        client.settle(wait.id, 1)
        assert run.result() == 1
        assert [firing.run for firing in client.schedules.firings("often")] == [run.id]
        assert client.schedules.pause("often").paused
        assert not client.schedules.resume("often").paused
        assert [one.name for one in client.schedules.list()] == ["often"]
        with pytest.raises(Invalid, match="it is required"):
            client.schedules.put("bare", graph, every="15m")
        with pytest.raises(TypeError):
            client.schedules.put("bare", graph, evry="15m")
        client.schedules.delete("often")
        with pytest.raises(NotFound, match="has no schedule 'often'"):
            client.schedules.get("often")
    assert package.Client is type(client)
