"""How HEAT meets its callers: a bearer token or none, by mode; errors as a status that is false with a message."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from stoker.api import auth
from stoker.api.call import JSON, Answer, Scope, Server, header
from stoker.api.dialects.heat import admission, bodies, fields
from stoker.api.dialects.heat.configuration import Entry, decoded
from stoker.api.dialects.heat.envelope import MEDIA_TYPE, Refusal, bare
from stoker.api.dialects.heat.nouns import configuration
from stoker.api.dialects.heat.roles import Role
from stoker.api.dialects.origins import Origins
from stoker.api.route import Route
from stoker.config import Heat
from stoker.engine.caller import Caller
from stoker.errors import Forbidden, StokerError, Unauthorized

CLAIM = "/api/tasks/claim"
"""Whoever claims takes any error but this one for the end: that there is nothing is what a busy server says too."""

_ABSENT = Entry(value=None)


class Speaking:
    """The manner of this dialect."""

    def __init__(self, settings: Heat) -> None:
        self._settings = settings
        self._origins = Origins(settings.origins)

    async def admit(self, server: Server, route: Route, scope: Scope, namespace: str) -> Caller:
        if route.public:
            return auth.NOBODY
        caller = await self._caller(server, scope, namespace)
        scope["caller"] = caller
        if not auth.enters(caller, namespace):
            raise Forbidden(
                f"the token {caller.name!r} is not for the namespace {namespace!r}, which this API serves",
                remedy="Use a token of this namespace.",
            )
        if not auth.allows(caller, route):
            needed = " or ".join(route.scopes)
            raise Forbidden(
                f"the token {caller.name!r} lacks the scope {needed}, which {route.method} {route.path} needs",
                remedy=f"Use a token with the scope {needed}.",
            )
        return caller

    async def _caller(self, server: Server, scope: Scope, namespace: str) -> Caller:
        if self._settings.auth_mode == "Local":
            return await self._local(server, scope)
        if header(scope, b"authorization"):
            return await server.engine.tokens.caller(auth.bearer(scope))
        mode, trusted = await self._told(server, namespace)
        return admission.without_token(scope, mode, trusted, self._settings.origins)

    async def _local(self, server: Server, scope: Scope) -> Caller:
        """Everybody may do everything. Who shows a token that is known needs no look at its browser."""
        try:
            known = await server.engine.tokens.caller(auth.bearer(scope))
        except Unauthorized:
            return admission.without_token(scope, "Local", (), self._settings.origins)
        return msgspec.structs.replace(
            admission.tokenless(Role.SYSTEM), token_id=known.token_id, name=known.name, role=known.role
        )

    async def _told(self, server: Server, namespace: str) -> tuple[admission.Mode, tuple[str, ...]]:
        """The mode and the networks that are trusted: of the settings, else of the configuration that is kept."""
        mode, trusted = self._settings.auth_mode, self._settings.trusted_networks
        if mode == "Strict" or (mode and trusted):
            return mode, trusted
        kept = await server.engine.documents.list(namespace, configuration.NOUN.sort)
        entries = {each.name: msgspec.json.decode(each.body, type=Entry) for each in kept}
        return (
            mode or admission.configured(decoded(entries.get("system.auth_mode", _ABSENT))),
            trusted or admission.networks(decoded(entries.get("system.trusted_networks", _ABSENT))),
        )

    def decode(self, content: bytes, shape: Any) -> Any:
        return bodies.decode(content, _decoder(shape))

    def refuse(self, error: StokerError, scope: Scope) -> Answer:
        """What is too large is wrong like everything else that is wrong with a body."""
        status = 400 if error.status == 413 else error.status
        if status == 503 and scope["path"] == CLAIM:
            status = 404
        answer = bare(Refusal(message=_said(error)), status)
        if status != 401:
            return answer
        return msgspec.structs.replace(answer, headers=((b"www-authenticate", b"Bearer"),))

    def fail(self, incident: str) -> Answer:
        return bare(Refusal(message=f"the server failed; its log knows more of incident {incident}"), 500)

    def preflight(self, scope: Scope) -> Answer | None:
        return self._origins.preflight(scope)

    def dress(self, answer: Answer, scope: Scope) -> Answer:
        media_type = MEDIA_TYPE if answer.media_type == JSON else answer.media_type
        headers = (*answer.headers, *self._origins.headers(scope))
        return msgspec.structs.replace(answer, media_type=media_type, headers=headers)


def _said(error: StokerError) -> str:
    """All in one line, for its answers have but one: the remedy is a sentence of its own."""
    return str(error).replace(f"{error.message} {error.remedy}", f"{error.message.rstrip('.')}. {error.remedy}", 1)


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return fields.decoder(shape)
