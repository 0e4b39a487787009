"""Who may read the metrics, and what is answered while there are none."""

from __future__ import annotations

from api.conftest import serving
from api.fake import make


class Counted:
    async def text(self) -> bytes:
        return b"stoker_batches_total 7\n"


async def test_metrics_that_are_off_say_how_to_turn_them_on() -> None:
    engine = make()
    engine.allow("all", "admin")
    async with serving(engine) as served:
        status, problem, _ = await served.ask("GET", "/metrics")
    assert (status, problem["code"]) == (404, "metrics_off")
    assert "--metrics token" in problem["remedy"]


async def test_metrics_need_a_scope_of_their_own_and_a_token_without_limits() -> None:
    engine = make()
    engine.allow("reader", "read", "trigger", "run", "author")
    engine.allow("scraper", "metrics")
    engine.allow("limited", "metrics", namespaces=["default"])
    async with serving(engine, metrics=Counted()) as served:
        for token, expected in (("reader", 403), ("limited", 403), ("nobody", 401), ("scraper", 200)):
            headers = {"Authorization": f"Bearer {token}"}
            status, body, answered = await served.ask("GET", "/metrics", headers=headers)
            assert status == expected, token
        assert (body, answered["content-type"]) == (
            b"stoker_batches_total 7\n",
            "text/plain; version=0.0.4; charset=utf-8",
        )
        status, _, _ = await served.ask("GET", "runs", headers={"Authorization": "Bearer scraper"})
        assert status == 403


async def test_metrics_that_are_public_need_no_token_and_open_nothing_else() -> None:
    async with serving(make(), metrics=Counted(), opened=["metrics"]) as served:
        bare = {"Authorization": ""}
        assert (await served.ask("GET", "/metrics", headers=bare))[0] == 200
        assert (await served.ask("GET", "runs", headers=bare))[0] == 401
