"""Features, as far as others name them: one that nobody has described is made by being named."""

from __future__ import annotations

from stoker.api.call import Call
from stoker.api.dialects.heat.desk import Desk, Pen
from stoker.api.dialects.heat.nouns import feature
from stoker.api.dialects.heat.roles import Role, role_of
from stoker.errors import Forbidden


async def check(call: Call, desk: Desk, name: str) -> None:
    """Forbidden where a feature is not there, and the caller may not make one."""
    if role_of(call.caller.scopes) is Role.SYSTEM or not name or await desk.named(feature.NOUN, name) is not None:
        return
    raise Forbidden(
        f"there is no feature {name!r}, and only the role system may make one",
        place="body.featureInternalName",
        remedy="Name a feature that is there, or call with a token of the scope admin.",
    )


async def see_to(call: Call, pen: Pen, name: str) -> None:
    """See to it that a feature is there."""
    await check(call, pen, name)
    if name and await pen.named(feature.NOUN, name) is None:
        await pen.add(feature.NOUN, name, feature.undescribed(name))
