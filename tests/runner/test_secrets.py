"""Secrets in the runner: code gets them, and nothing that leaves the runner has them."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pydantic
import pytest

import stoker
from runner import nodes
from runner.fakes import FakeNode, FakeServer, completed, failed
from stoker.authoring.signals import Prune
from stoker.core.protocol import Log, Progress
from stoker.errors import Invalid
from stoker.runner.runner import Runner

TOKEN = "corr\u00e8ct horse/battery"
GIVEN = {"TOKEN": TOKEN}


@contextmanager
def serving(*given: Any, **options: Any) -> Iterator[FakeServer]:
    server = FakeServer()
    with Runner(given, transport=server, **{"grace": 0, "workers": 2, **options}):
        yield server


def sent(server: FakeServer) -> str:
    """All that the runner has sent, artifacts too."""
    reports = msgspec.json.encode([server.reports, server.claims, server.kinds]).decode()
    return reports + str(server.artifacts)


def says(task: Any) -> dict[str, Any]:
    token = task.secrets["TOKEN"]
    print("printed", token)
    print(base64.b64encode(token.encode()).decode(), file=sys.stderr)
    for letter in token:
        print(letter, end="")
    logging.getLogger("mine").warning("logged %r", token)
    task.progress(0.5, f"at {token}")
    return {"header": f"Bearer {token}", token: [token, 7]}


async def says_soon(task: Any) -> dict[str, Any]:
    await asyncio.sleep(0)
    return says(task)


def breaks(task: Any) -> None:
    try:
        raise KeyError(task.secrets["TOKEN"])
    except KeyError as error:
        raise ValueError(f"refused: {base64.b64encode(TOKEN.encode()).decode()}") from error


def breaks_at_length(task: Any) -> None:
    """The message is cut in the middle, where a half of the secret would be left."""
    raise ValueError("x" * (4 * 1024 - 40) + task.secrets["TOKEN"] + "y" * 20_000)


def prunes(task: Any) -> None:
    raise Prune(f"not with {task.secrets['TOKEN']}")


def large(task: Any) -> str:
    return "x" * 1_500_000 + task.secrets["TOKEN"]


@pytest.mark.parametrize("node", [says, says_soon])
def test_code_gets_them_and_logs_progress_and_outputs_do_not_show_them(node: Any) -> None:
    with serving(FakeNode(node)) as server:
        task = server.offer(node.__name__, secrets=GIVEN)
        assert completed(server.outcome(task)) == {"header": "Bearer ***", "***": ["***", 7]}
        assert server.text(task, "stdout") == "printed ***\n***"
        assert server.text(task, "stderr") == "***\n"
        assert "logged '***'" in server.text(task, "log")
        assert "an output held a secret of this task" in server.text(task, "log")
    assert not _shows(sent(server))


def test_errors_their_causes_and_their_tracebacks_do_not_show_them() -> None:
    with serving(FakeNode(breaks), FakeNode(prunes), FakeNode(breaks_at_length)) as server:
        error = failed(server.outcome(server.offer("breaks", secrets=GIVEN))).error
        assert error.message == "refused: ***"
        assert "KeyError: '***'" in error.traceback
        assert server.outcome(server.offer("prunes", secrets=GIVEN)).reason == "not with ***"
        cut = failed(server.outcome(server.offer("breaks_at_length", secrets=GIVEN))).error
        assert "cut here" in cut.message
        assert "corr" not in cut.message
    assert not _shows(sent(server))


def test_a_large_output_is_hidden_before_it_is_uploaded() -> None:
    with serving(FakeNode(large)) as server:
        server.outcome(server.offer("large", secrets=GIVEN))
        (document,) = server.artifacts.values()
    assert msgspec.json.decode(document) == "x" * 1_500_000 + "***"


@pytest.mark.parametrize("fail", [False, True])
def test_an_isolated_node_gets_them_through_a_pipe_and_shows_as_little(fail: bool) -> None:
    with serving(nodes.iso_tells) as server:
        task = server.offer("iso_tells", secrets=GIVEN, fail=fail)
        outcome = server.outcome(task)
        assert server.text(task, "stdout") == "printed ***\n***"
        assert "logged ***" in server.text(task, "log")
        assert "environment: False, arguments: False" in server.text(task, "log")
        if fail:
            assert failed(outcome).error.message == "no ***"
        else:
            (document,) = server.artifacts.values()
            assert msgspec.json.decode(document) == {"told": "***", "large": "x" * 1_500_000 + "***"}
    assert not _shows(sent(server))


def test_one_attempt_does_not_have_those_of_another() -> None:
    def names(task: Any) -> list[str]:
        return sorted(task.secrets)

    with serving(FakeNode(names)) as server:
        assert completed(server.outcome(server.offer("names", secrets=GIVEN))) == ["TOKEN"]
        assert completed(server.outcome(server.offer("names"))) == []


def test_what_is_shown_here_as_well_does_not_show_them(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(FakeNode(says), verbose=True) as server:
        server.outcome(server.offer("says", secrets=GIVEN))
    out, err = capfd.readouterr()
    assert "printed ***" in out
    assert "logged '***'" in err
    assert TOKEN not in out + err


def test_chunks_of_a_long_log_do_not_show_what_they_cut() -> None:
    def long(task: Any) -> None:
        for _ in range(9_000):
            print(task.secrets["TOKEN"] * 3)

    with serving(FakeNode(long)) as server:
        task = server.offer("long", secrets=GIVEN)
        server.outcome(task)
        assert set(server.text(task, "stdout").split("\n")) == {"***", ""}
        assert sum(isinstance(report, Log) for report in server.reports) >= 1


def _shows(text: str) -> bool:
    pieces = [TOKEN, "horse", base64.b64encode(TOKEN.encode()).decode()[:16], "corr\\u00e8ct"]
    return any(piece in text for piece in pieces)


# --- nodes as they are written ---


@stoker.node(secrets=["TOKEN"])
def opens(task: stoker.Task) -> str:
    return f"{len(task.secrets['TOKEN'])} letters of {task.secrets}"


class Opens(stoker.Node):
    class Outputs(pydantic.BaseModel):
        letters: int
        more: bool

    class Secrets(pydantic.BaseModel):
        TOKEN: pydantic.SecretStr
        MORE: str | None = None

    async def execute(self) -> Outputs:
        return self.Outputs(letters=len(self.secrets.TOKEN.get_secret_value()), more=self.secrets.MORE is not None)


class Strict(stoker.Node):
    class Secrets(pydantic.BaseModel):
        TOKEN: int

    def execute(self) -> None:
        return None


def test_both_forms_of_a_node_have_them() -> None:
    with serving(opens, Opens) as server:
        assert completed(server.outcome(server.offer("opens", secrets=GIVEN))) == "21 letters of <secrets TOKEN>"
        assert completed(server.outcome(server.offer("Opens", secrets=GIVEN))) == {"letters": 21, "more": False}


@pytest.mark.parametrize("kind", ["opens", "Opens"])
def test_a_task_whose_secret_is_not_set_fails_and_names_it(kind: str) -> None:
    with serving(opens, Opens) as server:
        report = failed(server.outcome(server.offer(kind)))
    assert (report.error.code, report.retryable) == ("missing_secret", False)
    assert "the secret TOKEN of" in report.error.message
    assert "stoker secrets set TOKEN" in report.error.message


def test_a_value_that_its_model_refuses_is_not_shown() -> None:
    with serving(Strict) as server:
        report = failed(server.outcome(server.offer("Strict", secrets={"TOKEN": "no number, " * 20})))
    assert report.error.code == "bad_secret"
    assert "TOKEN: Input should be a valid integer" in report.error.message
    assert "no number" not in sent(server)


def test_one_that_is_not_declared_is_named_when_it_is_asked_for() -> None:
    def asks(task: Any) -> str:
        return str(task.secrets["OTHER"])

    with serving(FakeNode(asks)) as server:
        error = failed(server.outcome(server.offer("asks", secrets=GIVEN))).error
    assert "'OTHER' is not among those that the node declares and that are set: <secrets TOKEN>" in error.message


def test_a_text_in_the_place_of_a_list_is_refused() -> None:
    with pytest.raises(Invalid, match=r"secrets=\['TOKEN'\]"):
        stoker.node(secrets="TOKEN")(lambda task: None)
    with pytest.raises(Invalid, match="slash"):
        stoker.node(secrets=["a/b"])(lambda task: None)


def test_progress_is_hidden_too() -> None:
    def goes_on(task: Any) -> None:
        task.progress(0.1, task.secrets["TOKEN"])
        server.until(lambda: any(isinstance(report, Progress) for report in server.reports))

    with serving(FakeNode(goes_on)) as server:
        server.outcome(server.offer("goes_on", secrets=GIVEN))
        assert {report.message for report in server.reports if isinstance(report, Progress)} == {"***"}
