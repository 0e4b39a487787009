"""Who may call: tokens, modes, and what a browser may be made to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialects.heat.served import Served, serving
from stoker.config import Heat

PROJECTS = "/api/projects"
CLUSTER = Heat(auth_mode="ClusterOnly")
LOCAL = Heat(auth_mode="Local", origins=("https://page.example",))


async def status(served: Served, **options: Any) -> int:
    return (await served.ask("GET", PROJECTS, **options)).status


async def configure(served: Served, name: str, value: str) -> None:
    await served.make("/api/config", {"name": name, "valueType": 0, "value": value}, role="system")


async def test_without_a_setting_every_call_needs_a_token(served: Served) -> None:
    answered = await served.ask("GET", PROJECTS, role=None)
    assert (answered.status, answered.headers["www-authenticate"]) == (401, "Bearer")
    assert await status(served, role="unknown") == 401
    assert await status(served, headers={"authorization": "Basic x"}) == 401
    assert await status(served) == 200


async def test_a_token_of_another_namespace_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", Heat(namespace="other")) as served:
        await served.refused(403, "GET", PROJECTS)


async def test_a_configuration_entry_turns_on_cluster_only_but_never_local(served: Served) -> None:
    await configure(served, "system.auth_mode", "Local")
    assert await status(served, role=None) == 401
    await served.ask("PUT", "/api/config/system.auth_mode", {"value": "ClusterOnly"}, role="system")
    assert await status(served, role=None) == 200


async def test_in_cluster_only_trusted_peers_need_no_token(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", CLUSTER) as served:
        assert await status(served, role=None) == 200
        assert await status(served, role=None, peer="::1") == 200
        assert await status(served, role=None, peer="::ffff:127.0.0.1") == 200
        for headers in ({"x-forwarded-for": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"}):
            assert await status(served, role=None, headers=headers) == 401
            assert await status(served, headers=headers) == 200
        for peer in ("10.1.2.3", None):
            assert await status(served, role=None, peer=peer, headers={"host": "localhost"}) == 401
        assert await status(served, role="unknown") == 401
        await served.refused(403, "POST", "/api/runnertypes", {"name": "a", "containerImage": "x"}, role=None)


async def test_trusted_networks_are_configured(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", CLUSTER) as served:
        await configure(served, "system.trusted_networks", "10.0.0.0/8, 127.0.0.0/8")
        assert await status(served, role=None, peer="10.1.2.3", headers={"host": "core-api"}) == 200
        assert await status(served, role=None, peer="11.1.2.3") == 401
        await served.ask("PUT", "/api/config/system.trusted_networks", {"value": "everywhere"}, role="system")
        assert await status(served, role=None, peer="10.1.2.3") == 401
        assert await status(served, role=None) == 200


async def test_in_local_everybody_is_the_system(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", LOCAL) as served:
        await served.make("/api/runnertypes", {"name": "a", "containerImage": "x"}, role=None)
        await served.make("/api/runnertypes", {"name": "b", "containerImage": "x"}, role="unknown")
        await served.make("/api/runnertypes", {"name": "c", "containerImage": "x"}, role="user")


async def test_local_holds_for_this_dialect_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", LOCAL) as served:
        assert (await served.ask("GET", "/v1/namespaces/heat/kinds", role=None)).status == 401


@pytest.mark.parametrize("settings", [LOCAL, CLUSTER])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example:5220"},
        {"origin": "https://page.example", "host": "evil.example"},
    ],
)
async def test_a_page_does_not_drive_a_server_without_tokens(
    tmp_path: Path, settings: Heat, headers: dict[str, str]
) -> None:
    async with serving(tmp_path / "data", settings) as served:
        await served.refused(403, "POST", PROJECTS, {"title": "P"}, role=None, headers=headers)
        await served.refused(403, "GET", PROJECTS, role=None, headers=headers)
        assert await served.get(PROJECTS) == []


async def test_a_listed_page_and_names_of_this_machine_may_call(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", LOCAL) as served:
        page = {"origin": "https://page.example", "sec-fetch-site": "cross-site"}
        answered = await served.ask("GET", PROJECTS, role=None, headers=page)
        assert answered.headers["access-control-allow-origin"] == "https://page.example"
        for host in ("localhost", "LOCALHOST:1", "127.1.2.3:5220", "[::1]:5220"):
            assert await status(served, role=None, headers={"host": host}) == 200
        assert await status(served, role=None, headers={"sec-fetch-site": "same-origin"}) == 200


async def test_with_a_token_a_page_may_call_from_anywhere(served: Served) -> None:
    assert await status(served, headers={"origin": "https://page.example", "host": "core.example"}) == 200


async def test_reading_is_not_writing_and_running_is_neither(served: Served) -> None:
    await served.refused(403, "POST", PROJECTS, {"title": "P"}, role="reader")
    assert await status(served, role="reader") == 200
    assert await status(served, role="runner") == 403


async def test_tokens_are_not_kept_in_clear(served: Served, tmp_path: Path) -> None:
    await served.plant.stop()
    content = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert content
    assert not [role for role, token in served.tokens.items() if token.encode() in content]
    await served.plant.start()
