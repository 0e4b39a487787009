"""Platform configuration. Which entries a caller sees or writes is a matter of its role."""

from __future__ import annotations

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat import configuration, roles, shown
from stoker.api.dialects.heat.configuration import Entry
from stoker.api.dialects.heat.desk import Desk, Pen, all_of, change, look
from stoker.api.dialects.heat.envelope import bare
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns.configuration import NOUN, ConfigurationEntry, EntryChange, NewEntry
from stoker.api.route import Route
from stoker.errors import Conflict, Forbidden, Invalid, NotFound


async def get_all_configuration(call: Call) -> Answer:
    return bare(configuration.nested(await _visible(call)))


async def get_configuration(call: Call) -> Answer:
    found = configuration.below(await _visible(call), call.name)
    if found is None:
        raise NotFound(f"there is no configuration under {call.name!r}", place="path.name")
    return bare(found)


async def get_entry(call: Call) -> Answer:
    kept = await look(call, lambda desk: desk.named(NOUN, call.name))
    role = roles.role_of(call.caller.scopes)
    if kept is None or not roles.may_read(role, kept.name):
        raise _unknown(call.name)
    return bare(shown.entry(kept, role))


async def create_entry(call: Call) -> Answer:
    sent: NewEntry = call.body
    fields = given(sent)
    name = fields.pop("name")
    _check_role(call, name)
    if wrong := configuration.name_fault(name):
        raise Invalid(wrong, place="body.name", remedy="Choose another name.")

    async def work(pen: Pen) -> Kept[Entry]:
        if other := configuration.clash(name, [each.name for each in await pen.all(NOUN)]):
            raise Conflict(
                f"the entry {name!r} cannot stand beside {other!r}: one lies inside of the other", place="body.name"
            )
        return await pen.add(NOUN, name, Entry(**fields))

    return bare(shown.entry(await change(call, work), roles.role_of(call.caller.scopes)), 201)


async def update_entry(call: Call) -> Answer:
    _check_role(call, call.name)

    async def work(pen: Pen) -> Kept[Entry]:
        before = await _entry(pen, call.name)
        return await pen.put(NOUN, before.id, before.name, replace(before.record, **given(call.body)))

    return bare(shown.entry(await change(call, work), roles.role_of(call.caller.scopes)))


async def delete_entry(call: Call) -> Answer:
    _check_role(call, call.name)

    async def work(pen: Pen) -> None:
        await pen.remove(NOUN, (await _entry(pen, call.name)).id)

    await change(call, work)
    return NO_CONTENT


async def _visible(call: Call) -> dict[str, Entry]:
    """The entries that the caller sees, those that it sees without their values among them."""
    role = roles.role_of(call.caller.scopes)
    entries = {each.name: each.record for each in await all_of(call, NOUN) if roles.may_read(role, each.name)}
    return {name: Entry(value=roles.REDACTED) if roles.hides(role, name) else entry for name, entry in entries.items()}


async def _entry(desk: Desk, name: str) -> Kept[Entry]:
    kept = await desk.named(NOUN, name)
    if kept is None:
        raise _unknown(name)
    return kept


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no configuration entry {name!r}", place="path.name", remedy="POST /api/config makes one."
    )


def _check_role(call: Call, name: str) -> None:
    role = roles.role_of(call.caller.scopes)
    if not roles.may_write(role, name):
        raise Forbidden(
            f"the role {role.value} may not write the configuration entry {name!r}",
            place="header.Authorization",
            remedy="Call with a token that may: entries under `system` need the scope admin, others read, trigger, run "
            "and author together.",
        )


ROUTES = (
    Route(
        method="GET",
        path="/api/config/all",
        scopes=("read", "run"),
        summary="The whole platform configuration, nested",
        endpoint=get_all_configuration,
        response=object,
    ),
    Route(
        method="GET",
        path="/api/config/detail/{name}",
        scopes=("read", "run"),
        summary="Show a configuration entry",
        endpoint=get_entry,
        response=ConfigurationEntry,
    ),
    Route(
        method="GET",
        path="/api/config/{name}",
        scopes=("read", "run"),
        summary="The platform configuration under a prefix, nested",
        endpoint=get_configuration,
        response=object,
    ),
    Route(
        method="POST",
        path="/api/config",
        scopes=("author",),
        summary="Make a configuration entry",
        endpoint=create_entry,
        request=NewEntry,
        response=ConfigurationEntry,
        status=201,
    ),
    Route(
        method="PUT",
        path="/api/config/{name}",
        scopes=("author",),
        summary="Change a configuration entry",
        endpoint=update_entry,
        request=EntryChange,
        response=ConfigurationEntry,
    ),
    Route(
        method="DELETE",
        path="/api/config/{name}",
        scopes=("author",),
        summary="Delete a configuration entry",
        endpoint=delete_entry,
        status=204,
    ),
)
