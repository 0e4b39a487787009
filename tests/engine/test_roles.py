"""Roles of tokens: a change takes hold at the next call, and what is not there allows nothing."""

from __future__ import annotations

import pytest

from engine.plant import Plant
from stoker.core.duration import SECOND
from stoker.core.roles import BUILT_IN
from stoker.core.views import RoleRequest, TokenRequest, TokenView
from stoker.engine.tokens import KNOWN_FOR
from stoker.errors import Conflict, Invalid, NotFound


async def scopes(plant: Plant, token: TokenView) -> set[str]:
    assert token.token is not None
    return set((await plant.engine.tokens.caller(token.token)).scopes)


async def test_a_change_of_a_role_takes_hold_at_the_next_call_of_its_tokens(plant: Plant) -> None:
    roles, tokens = plant.engine.roles, plant.engine.tokens
    assert (await roles.put("night-shift", RoleRequest(scopes=["read"]))).created
    made = await tokens.create(TokenRequest(name="one", role="night-shift", scopes=["run"]))
    assert (made.scopes, made.role) == (["read", "run"], "night-shift")
    assert await scopes(plant, made) == {"read", "run"}
    changed = await roles.put("night-shift", RoleRequest(scopes=["trigger", "read"]))
    assert (changed.created, changed.tokens, changed.scopes) == (False, 1, ["read", "trigger"])
    assert await scopes(plant, made) == {"read", "trigger", "run"}
    assert [(one.scopes, one.role) for one in await tokens.list()] == [(["read", "run", "trigger"], "night-shift")]


async def test_another_server_learns_of_it_within_two_seconds(servers: tuple[Plant, Plant]) -> None:
    here, there = servers
    await here.engine.roles.put("night-shift", RoleRequest(scopes=["read", "trigger"]))
    made = await here.engine.tokens.create(TokenRequest(name="one", role="night-shift"))
    assert await scopes(there, made) == {"read", "trigger"}
    await here.engine.roles.put("night-shift", RoleRequest(scopes=["read"]))
    here.clock.advance((KNOWN_FOR + 1) / SECOND)
    assert await scopes(there, made) == {"read"}


async def test_what_was_looked_up_while_a_role_changed_is_not_believed_after_it(plant: Plant) -> None:
    """The old row may arrive after the change was told of."""
    roles, store = plant.engine.roles, plant.engine.store
    await roles.put("night-shift", RoleRequest(scopes=["trigger"]))
    made = await plant.engine.tokens.create(TokenRequest(name="one", role="night-shift"))
    read = store.read

    async def slow(work):  # type: ignore[no-untyped-def]  # stands in for a method
        found = await read(work)
        store.read = read  # type: ignore[method-assign]  # as above
        await roles.put("night-shift", RoleRequest(scopes=["read"]))
        return found

    store.read = slow  # type: ignore[method-assign]  # as above
    assert await scopes(plant, made) == {"trigger"}  # asked before the change
    assert await scopes(plant, made) == {"read"}


async def test_a_role_that_tokens_have_is_not_deleted(plant: Plant) -> None:
    roles, tokens = plant.engine.roles, plant.engine.tokens
    await roles.put("night-shift", RoleRequest(scopes=["read"]))
    made = await tokens.create(TokenRequest(name="one", role="night-shift"))
    with pytest.raises(Conflict, match="1 token has the role 'night-shift'") as refused:
        await roles.delete("night-shift")
    assert refused.value.code == "role_in_use"
    assert await scopes(plant, made) == {"read"}
    await tokens.revoke(made.id)
    await roles.delete("night-shift")
    assert [role.name for role in await roles.list()] == list(BUILT_IN)
    with pytest.raises(NotFound, match="no role 'night-shift'"):
        await roles.delete("night-shift")


async def test_a_token_whose_role_is_gone_may_do_nothing(plant: Plant) -> None:
    await plant.engine.roles.put("night-shift", RoleRequest(scopes=["read"]))
    made = await plant.engine.tokens.create(TokenRequest(name="one", role="night-shift"))
    await plant.sql("DELETE FROM role")
    assert await scopes(plant, made) == set()


async def test_a_token_has_a_role_that_is_there_or_scopes(plant: Plant) -> None:
    with pytest.raises(NotFound, match="no role 'captain'"):
        await plant.engine.tokens.create(TokenRequest(name="one", role="captain"))
    with pytest.raises(Invalid, match="at least one scope, or a role"):
        await plant.engine.tokens.create(TokenRequest(name="one"))
    assert await plant.engine.tokens.list() == []
    made = await plant.engine.tokens.create(TokenRequest(name="one", role="operator"))
    assert await scopes(plant, made) == {"read", "trigger"}
    assert {role.name: role.tokens for role in await plant.engine.roles.list()}["operator"] == 1


@pytest.mark.parametrize("name", BUILT_IN)
async def test_a_built_in_role_stays_as_it_is(plant: Plant, name: str) -> None:
    with pytest.raises(Conflict, match="is built in, and cannot be changed"):
        await plant.engine.roles.put(name, RoleRequest(scopes=["admin"]))
    with pytest.raises(Conflict, match="is built in, and cannot be deleted"):
        await plant.engine.roles.delete(name)


@pytest.mark.parametrize("name", ["", "a/b", "a\nb"])
async def test_a_role_without_a_proper_name_or_scope_is_refused(plant: Plant, name: str) -> None:
    with pytest.raises(Invalid):
        await plant.engine.roles.put(name, RoleRequest(scopes=["read"]))
    with pytest.raises(Invalid, match="at least one scope"):
        await plant.engine.roles.put("named", RoleRequest(scopes=[]))
