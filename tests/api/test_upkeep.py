"""The room of the installation over HTTP: what goes in and out, and who may."""

from __future__ import annotations

from api.conftest import Served


async def test_a_collection_is_begun_and_waited_for(served: Served) -> None:
    status, view, _ = await served.ask("POST", "/v1/collection?dry_run=true")
    assert (status, view["running"], view["artifacts"]) == (200, True, 2)
    assert served.engine.asked[-2] == ("collect", True)
    status, view, _ = await served.ask("GET", "/v1/collection?wait_s=5")
    assert (status, view["running"]) == (200, False)


async def test_usage_is_told(served: Served) -> None:
    status, view, _ = await served.ask("GET", "/v1/usage")
    assert (status, view["namespaces"][0]["runs"], view["free_bytes"]) == (200, 3, 40)


async def test_only_an_admin_of_all_namespaces_may(served: Served) -> None:
    served.engine.allow("author", "read", "author")
    served.engine.allow("limited", "admin", namespaces=("default",))
    for token in ("author", "limited"):
        headers = {"Authorization": f"Bearer {token}"}
        assert (await served.ask("GET", "/v1/usage", headers=headers))[0] == 403
        assert (await served.ask("POST", "/v1/collection", headers=headers))[0] == 403


async def test_a_backup_is_streamed_to_an_admin_of_all_namespaces(served: Served) -> None:
    status, body, headers = await served.ask("GET", "/v1/backup")
    assert (status, body, headers["content-type"]) == (200, b"an archive", "application/x-tar")
    served.engine.allow("limited", "admin", namespaces=("default",))
    assert (await served.ask("GET", "/v1/backup", headers={"Authorization": "Bearer limited"}))[0] == 403


async def test_a_run_goes_out_as_an_archive_and_comes_in_for_an_author(served: Served) -> None:
    status, body, headers = await served.ask("GET", "/v1/namespaces/default/runs/3/export")
    assert (status, body, headers["content-type"]) == (200, b"an archive", "application/x-tar")
    assert headers["content-disposition"] == "attachment; filename=run-3.stoker"
    status, ref, _ = await served.ask("POST", "/v1/namespaces/default/runs/import", data=b"an archive")
    assert (status, ref["id"], served.engine.asked[-1]) == (201, 9, ("import", "default", b"an archive"))
    served.engine.allow("trigger", "read", "trigger")
    headers = {"Authorization": "Bearer trigger"}
    assert (await served.ask("POST", "/v1/namespaces/default/runs/import", data=b"", headers=headers))[0] == 403
