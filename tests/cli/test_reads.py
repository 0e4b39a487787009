"""runs, graphs, explain, tokens: what they show of a data folder, with a server or without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.conftest import Stoker
from stoker.bootstrap.embedded import Embedded
from stoker.cli import exits, terminal
from stoker.cli.graphs import _row
from stoker.cli.logs import _Lines
from stoker.core.graph import Each, Edge, NodeSpec
from stoker.core.views import LogView


@pytest.fixture
def ran(stoker: Stoker, pipeline: Path, server: Embedded) -> tuple[int, int]:
    """A run that succeeded and one that failed, on a live server; their ids."""
    from stoker.cli.load import load

    loaded = load(pipeline)
    with server.runner(loaded.nodes), server.client() as client:
        good = client.trigger(loaded.graphs["shares"], x=4)
        bad = client.trigger(loaded.graphs["shares"], x=4, by=0)
        good.wait()
        bad.wait()
    return good.id, bad.id


def test_runs_are_listed_newest_first_and_filtered(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, bad = ran
    items = stoker("runs", "list", "-o", "json").json["items"]
    assert [item["id"] for item in items[:2]] == [bad, good]
    failed = stoker("runs", "list", "--state", "FAILED", "--graph", "shares", "-o", "json").json["items"]
    assert failed[0]["id"] == bad
    assert {item["state"] for item in failed} == {"FAILED"}


def test_runs_are_listed_by_terms_and_their_shorthands(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, bad = ran

    def found(*terms: str) -> set[int]:
        return {item["id"] for item in stoker("runs", "list", *terms, "--limit", "100", "-o", "json").json["items"]}

    assert found("state=FAILED", f"id={good},{bad}") == {bad}
    assert found(f"id={good},{bad} state!=FAILED") == {good}
    assert found("created>1h", "--state", "FAILED", "--graph", "shares") >= {bad}
    assert stoker("runs", "list", "graph=none").err.startswith("no runs with graph=none in the namespace 'default' on ")


def test_a_term_that_is_not_understood_is_said_with_its_place(stoker: Stoker, server: Embedded) -> None:
    answer = stoker("runs", "list", "graph=a", "stat=FAILED")
    assert answer.code == 1
    assert "there is no field 'stat'; did you mean state?" in answer.err
    assert "place: filter, character 9" in answer.err
    assert "the fields are" in answer.err.lower()


def test_the_tasks_of_a_run_are_listed_by_terms(stoker: Stoker, ran: tuple[int, int]) -> None:
    _, bad = ran
    failed = stoker("runs", "tasks", str(bad), "state=FAILED", "-o", "json").json["items"]
    assert {task["node"] for task in failed} == {"divide"}
    page = stoker(
        "runs", "tasks", f"run:{bad}", f"id={failed[0]['id']},{failed[1]['id']} attempt<9", "--node", "divide"
    )
    assert [row.split()[0] for row in page.out.splitlines()[1:]] == [str(task["id"]) for task in failed]
    assert "there is no field 'stat'" in stoker("runs", "tasks", str(bad), "stat=FAILED").err
    none = stoker("runs", "tasks", str(bad), "attempt>8", "--state", "FAILED")
    assert (none.out, none.err) == ("", f"run {bad} has no tasks with attempt>8 state=FAILED\n")
    assert stoker("runs", "tasks", str(bad), "--past").err == f"run {bad} has no replaced tasks\n"
    assert "--state FAILED" in stoker("runs", "tasks", str(bad), "state=FAILED", "--past").err
    assert "it is not live" in stoker("runs", "outputs", str(bad)).err


def test_a_list_goes_on_where_the_page_ended(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, bad = ran
    page = stoker("runs", "list", "--limit", "1", "-o", "json").json
    assert [item["id"] for item in page["items"]] == [bad]
    following = stoker("runs", "list", "--limit", "1", "--after", page["after"], "-o", "json").json
    assert [item["id"] for item in following["items"]] == [good]


def test_a_table_has_a_line_for_each_run(stoker: Stoker, ran: tuple[int, int]) -> None:
    answer = stoker("runs", "list", "--limit", "2")
    head, *rows = answer.out.splitlines()
    assert head.split() == ["RUN", "GRAPH", "STATE", "STARTED", "TOOK"]
    assert [row.split()[0] for row in rows] == [str(ran[1]), str(ran[0])]
    assert "more: --after" in stoker("runs", "list", "--limit", "1").err


def test_a_run_is_shown_with_its_nodes_and_causes(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, bad = ran
    view = stoker("runs", "get", str(good), "-o", "json").json
    assert {node["node"]: node["succeeded"] for node in view["nodes"]}["divide"] == 2
    text = stoker("runs", "get", f"run:{bad}").out
    assert "divide" in text
    assert "ZeroDivisionError" in text


def test_waiting_for_a_run_ends_with_its_exit_code(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, bad = ran
    assert stoker("runs", "get", str(good), "--wait").code == 0
    assert stoker("runs", "get", str(bad), "--wait").code == 1
    assert stoker("runs", "get", str(bad)).code == 0


def test_the_result_of_a_run_is_printed_whenever_it_is_asked_for(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, bad = ran
    shown = stoker("runs", "result", str(good))
    assert shown.code == 0
    assert json.loads(shown.out) == stoker("runs", "result", str(good), "--wait", "-o", "json").json["result"]
    failed = stoker("runs", "result", str(bad))
    assert (failed.code, failed.out) == (1, "")
    assert "ZeroDivisionError" in failed.err


def test_a_run_that_goes_on_has_no_result_yet(stoker: Stoker, pipeline: Path, server: Embedded) -> None:
    from stoker.cli.load import load

    with server.client() as client:
        waiting = client.trigger(load(pipeline).graphs["shares"], x=4)
    answer = stoker("runs", "result", str(waiting.id))
    assert answer.code == 5
    assert f"stoker runs result {waiting.id} --wait" in answer.err


def test_logs_are_shown_with_their_task(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, _ = ran
    assert stoker("runs", "logs", str(good)).out == "halves | halving 4\n"
    assert stoker("runs", "logs", str(good), "--follow").out == "halves | halving 4\n"
    [log] = stoker("runs", "logs", str(good), "-o", "json").json
    assert (log["node"], log["text"]) == ("halves", "halving 4\n")
    followed = stoker("runs", "logs", str(good), "-f", "-o", "json").json
    assert followed["cursor"] == log["cursor"]


def test_logs_are_chosen_by_node_task_stream_and_time(stoker: Stoker, ran: tuple[int, int]) -> None:
    good, _ = ran
    [log] = stoker("runs", "logs", str(good), "-o", "json").json
    for chosen in (["--node", "halves"], ["--task", f"{log['task']}"], ["--stream", "stdout"], ["--since", "1h"]):
        assert stoker("runs", "logs", str(good), *chosen).out == "halves | halving 4\n"
    nothing = stoker("runs", "logs", str(good), "--node", "total")
    assert (nothing.out, nothing.err) == ("", f"run {good} has no logs like that\n")
    stamped = stoker("runs", "logs", str(good), "-t").out
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z halves \| halving 4\n", stamped)
    wrong = stoker("runs", "logs", str(good), "--node", "half")
    assert "the graph has no node 'half'" in wrong.err
    assert "'halves'" in wrong.err


def test_a_line_that_comes_in_pieces_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _Lines(timestamps=False)
    for task, stream, text in ((1, "log", "one\ntw"), (2, "log", "three\n"), (1, "stderr", "!"), (1, "log", "o\nfo")):
        lines.see(
            LogView(
                cursor=1, task=task, node=f"n{task}", branch="", attempt=1, stream=stream, at=terminal.now(), text=text
            )
        )
    lines.end("nothing")
    assert capsys.readouterr().out.splitlines() == ["n1 | one", "n2 | three", "n1 | two", "n1 | !", "n1 | fo"]


def test_retry_makes_failed_tasks_ready_and_cancel_ends_the_run(stoker: Stoker, ran: tuple[int, int]) -> None:
    _, bad = ran
    assert stoker("runs", "retry", str(bad), "-o", "json").json["retried"] == 2
    assert stoker("runs", "get", str(bad), "-o", "json").json["state"] == "RUNNING"
    assert stoker("runs", "cancel", str(bad), "-o", "json").json["state"] == "CANCELLED"
    assert stoker("runs", "cancel", str(bad)).out == f"run {bad} is CANCELLED\n"


def test_a_task_is_cancelled_alone(stoker: Stoker, ran: tuple[int, int], server: Embedded) -> None:
    good, bad = ran
    first, second = (cause["task"] for cause in stoker("runs", "get", str(bad), "-o", "json").json["causes"])
    assert stoker("runs", "retry", str(bad)).code == 0
    assert stoker("tasks", "cancel", str(first)).out == f"task {first} of run {bad} is CANCELLED\n"
    answer = stoker("tasks", "cancel", f"task:{second}", "-o", "json").json
    assert (answer["state"], answer["code"]) == ("CANCELLED", "cancelled")
    assert stoker("runs", "get", str(bad), "-o", "json").json["state"] == "FAILED"
    with server.client() as client:
        ended = client.call(client.api.tasks(good)).items[0].id
    done = stoker("tasks", "cancel", str(ended))
    assert done.code == 1
    assert f"task {ended} is SUCCEEDED, and only a task that is READY or LEASED can be cancelled" in done.err


def test_explain_answers_for_runs_and_tasks(stoker: Stoker, ran: tuple[int, int]) -> None:
    _, bad = ran
    run = stoker("explain", f"run:{bad}", "-o", "json").json
    assert run["state"] == "FAILED"
    assert "division by zero" in run["because"][0]
    assert stoker("explain", str(bad)).out.startswith(f"run {bad} of 'shares' is FAILED\n  because task ")
    task = stoker("runs", "get", str(bad), "-o", "json").json["causes"][0]["task"]
    assert f"task {task} (divide at " in stoker("explain", f"task:{task}").out


def test_graphs_are_pushed_once_and_shown(stoker: Stoker, pipeline: Path, server: Embedded) -> None:
    first = stoker("graphs", "push", f"{pipeline}:sizes", "-o", "json").json
    again = stoker("graphs", "push", f"{pipeline}:sizes", "-o", "json").json
    assert (first["version"], again["version"], again["created"]) == (1, 1, False)
    assert "unchanged" in stoker("graphs", "push", f"{pipeline}:sizes").out
    assert "sizes" in {item["name"] for item in stoker("graphs", "list", "-o", "json").json["items"]}
    assert "sizes" in stoker("graphs", "list").out
    text = stoker("graphs", "get", "sizes").out
    assert "file" in text
    assert "default null" in text
    assert stoker("graphs", "get", "sizes", "--version", "1", "-o", "json").json["spec"]["name"] == "sizes"


def test_a_node_is_shown_with_all_ways_to_it_and_the_namespace_of_its_kind() -> None:
    node = NodeSpec(name="d", kind="Load", namespace="lab", fire=Each(ways=(Edge(node="b"), Edge(node="c"))))
    assert _row(node) == ["d", "lab/Load", "b or c, once per path"]


def test_a_token_is_shown_once_and_can_be_revoked(stoker: Stoker, server: Embedded) -> None:
    made = stoker("tokens", "create", "ci", "--scope", "read", "--scope", "trigger", "--expires", "30d", "-o", "json")
    assert made.json["token"].startswith("stk_")
    listed = stoker("tokens", "list", "-o", "json").json
    assert [(one["name"], one["token"]) for one in listed] == [("ci", None)]
    assert stoker("tokens", "revoke", str(made.json["id"]), "-o", "json").json["revoked"] is True
    assert "revoked" in stoker("tokens", "list").out
    stoker("tokens", "create", "lab", "--scope", "run", "--kind", "train", "--kind", "predict")
    assert "train, predict" in stoker("tokens", "list").out.replace("predict, train", "train, predict")
    plain = stoker("tokens", "create", "plain", "--scope", "read")
    assert plain.out.startswith("stk_")
    assert "for read in every namespace; it is shown" in plain.err
    narrow = stoker("tokens", "create", "narrow", "--scope", "read", "--only-namespace", "lab")
    assert "for read in lab; it is shown" in narrow.err
    assert plain.out.count("\n") == 1


def test_a_role_is_made_changed_given_and_deleted(stoker: Stoker, server: Embedded) -> None:
    assert "role night is made: read" in stoker("roles", "set", "night", "--scope", "read").out
    made = stoker("tokens", "create", "watch", "--role", "night", "-o", "json").json
    assert (made["role"], made["scopes"]) == ("night", ["read"])
    assert stoker("tokens", "create", "boss", "--role", "admin").out.startswith("stk_")
    assert "is changed: read, trigger" in stoker("roles", "set", "night", "--scope", "read", "--scope", "trigger").out
    assert stoker("runs", "list", "--token", made["token"], "--url", server.url).code == 0
    roles = {role["name"]: role for role in stoker("roles", "list", "-o", "json").json}
    assert (roles["night"]["tokens"], roles["viewer"]["built_in"]) == (1, True)
    assert "night" in stoker("roles", "list").out
    assert "1 token has the role 'night'" in stoker("roles", "delete", "night").err
    stoker("tokens", "revoke", str(made["id"]))
    assert "is deleted" in stoker("roles", "delete", "night").out


def test_who_did_what_is_listed(stoker: Stoker, server: Embedded) -> None:
    made = stoker("tokens", "create", "anna", "--role", "operator", "-o", "json").json
    stoker("runs", "cancel", "99", "--token", made["token"], "--url", server.url)
    stoker("tokens", "revoke", str(made["id"]))
    assert stoker("tokens", "revoke", str(made["id"])).code == exits.FAILED
    rows = stoker("audit", f"subject=token:{made['id']}", "outcome=done", "-o", "json").json["items"]
    assert [(row["verb"], row["name"], row["address"]) for row in rows] == [
        ("revoke_token", "root", "127.0.0.1"),
        ("create_token", "root", "127.0.0.1"),
    ]
    assert made["token"] not in json.dumps(rows)
    text = stoker("audit", f"subject=token:{made['id']}").out
    assert f"token:{made['id']} name=anna role=operator" in text
    with server.client() as client:
        assert [row.subjects for row in client.audit("verb=revoke_token outcome=done", limit=1)] == [
            rows[0]["subjects"]
        ]


def test_history_is_read_without_a_server(stoker: Stoker, pipeline: Path) -> None:
    assert stoker("run", f"{pipeline}:shares", "-i", "x=3").code == 0
    assert [item["id"] for item in stoker("runs", "list", "-o", "json").json["items"]] == [1]
    assert stoker("runs", "logs", "1").out == "halves | halving 3\n"


def test_nothing_is_said_where_nothing_is(stoker: Stoker) -> None:
    assert stoker("runs", "list", "-o", "json").json == {"items": [], "after": None}
    answer = stoker("runs", "list")
    assert (answer.code, answer.out) == (0, "")
    assert "no runs in the namespace 'default' in the data folder" in answer.err
    assert "no graphs in the namespace 'default' yet" in stoker("graphs", "list").err


def test_a_namespace_that_is_misspelt_is_an_error(stoker: Stoker) -> None:
    answer = stoker("runs", "list", "--namespace", "nope")
    assert answer.code == 1
    assert "there is no namespace 'nope'" in answer.err


def test_a_run_is_shown_with_the_tags_it_was_given(stoker: Stoker, pipeline: Path) -> None:
    given = ["--tag", "team=blue", "--tag", "stage=2"]
    assert stoker("run", f"{pipeline}:shares", "-i", "x=3", *given).code == 0
    assert stoker("runs", "get", "1", "-o", "json").json["tags"] == {"stage": "2", "team": "blue"}
    assert "stage=2 team=blue" in stoker("runs", "get", "1").out


def test_the_store_is_given_at_the_run(stoker: Stoker, tmp_path: Path) -> None:
    file = tmp_path / "stored.py"
    file.write_text(STORED)
    assert stoker("run", f"{file}:told", "--store", "bucket=b", "--store", 'deep={"n": 2}').json == "b/2"
    refused = stoker("run", f"{file}:told", "--store", "deep=5")
    assert refused.code == 1
    assert "--store bucket=VALUE" in refused.err


STORED = """
import stoker

@stoker.node
def same(x: str) -> str:
    return x

@stoker.graph
def told():
    return same(stoker.text(stoker.store("bucket"), "/", stoker.store("deep", {"n": 1})["n"]))
"""
