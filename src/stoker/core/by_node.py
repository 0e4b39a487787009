"""What is said of a node by who knows nothing but the node: an output, a state, a text; and what came of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from stoker.core.views import OutputView


class SayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An output (`value`), or else a state; without either, a text that tells how the node does.

    `key`: outputs of one attempt with the same name and key are one, the first. `about`: given back with the output.
    `own`: the session of the caller, where it has one of its own. `lease_s`: how long the attempt that it belongs to
    has from now on, before and after its holder was heard of; None: as before.
    """

    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    name: str = ""
    key: str = ""
    about: str = ""
    state: Literal["SUCCEEDED", "FAILED"] | None = None
    status: str = ""
    own: int | None = None
    lease_s: tuple[float, float] | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Whose it was: an attempt's (`open`: that is being run), or, without a task, nobody's: it came from outside."""

    output: OutputView | None = None
    task: int | None = None
    attempt: int = 0
    open: bool = False
