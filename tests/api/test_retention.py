"""Retention over HTTP: what goes in and out, and who may."""

from __future__ import annotations

from api.conftest import Served

ONE = "/v1/namespaces/default/retention"


async def test_a_rule_is_shown_put_and_cleared(served: Served) -> None:
    status, view, _ = await served.ask("PUT", f"{ONE}?dry_run=true", json={"age": "30d", "count": 5})
    assert (status, view) == (200, {"keep": {"age": "30d", "count": 5}, "source": "namespace", "beyond": 3})
    name, namespace, spec, dry_run = served.engine.asked[-1]
    assert (name, namespace, spec.failed_age, dry_run) == ("put keep", "default", None, True)
    assert (await served.ask("GET", ONE))[1]["source"] == "default"
    assert (await served.ask("DELETE", ONE))[0] == 200
    assert served.engine.asked[-1] == ("clear keep", "default")


async def test_what_is_no_rule_is_refused_at_the_edge(served: Served) -> None:
    status, problem, _ = await served.ask("PUT", ONE, json={"ages": "30d"})
    assert status == 400
    assert "ages" in str(problem)


async def test_only_an_admin_may_have_runs_deleted(served: Served) -> None:
    served.engine.allow("author", "read", "trigger", "author")
    author = {"Authorization": "Bearer author"}
    assert (await served.ask("GET", ONE, headers=author))[0] == 200
    assert (await served.ask("PUT", ONE, json={}, headers=author))[0] == 403
    assert (await served.ask("DELETE", ONE, headers=author))[0] == 403
