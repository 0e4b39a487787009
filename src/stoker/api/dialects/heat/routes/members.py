"""The session that a path names, and the users of sessions."""

from __future__ import annotations

from msgspec.structs import replace

from stoker.api.call import NO_CONTENT, Answer, Call
from stoker.api.dialects.heat.desk import Desk, Pen, change, look
from stoker.api.dialects.heat.envelope import Envelope, enveloped
from stoker.api.dialects.heat.fields import given
from stoker.api.dialects.heat.noun import Kept
from stoker.api.dialects.heat.nouns import session, user
from stoker.api.dialects.heat.nouns.sessionuser import NOUN, NewSessionUser, Record, SessionUser
from stoker.api.route import Route
from stoker.errors import Invalid, NotFound

_KEPT = ("role", "grouping", "source")
_USERS = "/api/sessions/{sid:guid}/users"


async def list_session_users(call: Call) -> Answer:
    async def work(desk: Desk) -> list[SessionUser]:
        guid = (await session_of(call, desk)).name
        users = {each.id: each for each in await desk.all(user.NOUN)}
        return [_shown(guid, each, users[each.record.user_id]) for each in await desk.all(NOUN, guid)]

    return enveloped(await look(call, work))


async def add_session_user(call: Call) -> Answer:
    sent: NewSessionUser = call.body

    async def work(pen: Pen) -> tuple[SessionUser, bool]:
        guid = (await session_of(call, pen)).name
        who = await _user(pen, sent)
        before = await _member(pen, guid, who.id)
        known = before.record if before else Record(user_id=who.id)
        record = replace(known, **{name: value for name, value in given(sent).items() if name in _KEPT})
        if before is not None:
            return _shown(guid, await pen.put(NOUN, before.id, None, record), who), False
        return _shown(guid, await pen.add(NOUN, None, record, parent=guid), who), True

    shown, made = await change(call, work)
    return enveloped(shown, 201 if made else 200)


async def remove_session_user(call: Call) -> Answer:
    async def work(pen: Pen) -> None:
        member = await _member(pen, (await session_of(call, pen)).name, int(call.path["user"]))
        if member is None:
            raise NotFound(f"the session has no user {call.path['user']}", place="path.user")
        await pen.remove(NOUN, member.id)

    await change(call, work)
    return NO_CONTENT


async def session_of(call: Call, desk: Desk) -> Kept[session.Record]:
    """The session that the path names. NotFound if there is none, or it was deleted."""
    kept = await desk.named(session.NOUN, call.path["sid"].lower())
    if kept is None or kept.record.hidden:
        raise NotFound(f"there is no session {call.path['sid']}", place="path.sid")
    return kept


async def _member(desk: Desk, guid: str, user_id: int) -> Kept[Record] | None:
    return next((each for each in await desk.all(NOUN, guid) if each.record.user_id == user_id), None)


async def _user(pen: Pen, sent: NewSessionUser) -> Kept[user.Record]:
    """The user that is named; one who is known only elsewhere is made. Invalid if it is none, or not there."""
    outside = str(sent.external_heat_id) if sent.external_heat_id else None
    if sent.user_id:
        found = await pen.find(user.NOUN, int(sent.user_id))
        if found is None or (outside and found.name != outside):
            raise Invalid(f"there is no user {sent.user_id} of that name", place="body.userId")
        return found
    if outside is None:
        raise Invalid("neither userId nor externalHeatId says who", place="body", remedy="Give one of them.")
    found = await pen.named(user.NOUN, outside)
    return found or await pen.add(user.NOUN, outside, user.Record(external_heat_id=outside))


def _shown(guid: str, member: Kept[Record], who: Kept[user.Record]) -> SessionUser:
    return SessionUser(
        id=member.id,
        session_id=guid,
        user_id=who.id,
        role=member.record.role,
        external_heat_id=who.record.external_heat_id,
        grouping=member.record.grouping,
        source=member.record.source,
    )


ROUTES = (
    Route(
        method="GET",
        path=_USERS,
        scopes=("read",),
        summary="List the users of a session",
        endpoint=list_session_users,
        response=Envelope[list[SessionUser]],
    ),
    Route(
        method="POST",
        path=_USERS,
        scopes=("author",),
        summary="Let a user take part in a session, or change as what",
        endpoint=add_session_user,
        request=NewSessionUser,
        response=Envelope[SessionUser],
        status=201,
    ),
    Route(
        method="DELETE",
        path=f"{_USERS}/{{user:int}}",
        scopes=("author",),
        summary="Let a user take part no longer",
        endpoint=remove_session_user,
        status=204,
    ),
)
