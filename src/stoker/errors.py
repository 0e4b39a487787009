"""Every error Stoker raises, with a code that stays.

::

    StokerError
    ├── Rejected            you may not; asking again unchanged gives the same answer
    │   ├── Invalid         what was sent is wrong, with each problem and its place    400
    │   ├── Unauthorized    no token, or one that is unknown, expired or revoked       401
    │   ├── Forbidden       the token is good, but not for this                        403
    │   ├── NotFound        there is no such thing (here)                              404
    │   ├── Conflict        the thing is in a state that refuses this                  409
    │   └── TooLarge        over a limit, which the message names                      413
    ├── Unavailable         try again: the database, disk or server cannot right now   503
    └── RunError            what waiting for a run's result can end with             409
        ├── RunFailed       the run FAILED; carries first causes with their tracebacks
        ├── RunCancelled    the run was CANCELLED
        └── NoResult        the run SUCCEEDED, but its result node was pruned or skipped
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: a stable code, its place, what it is, and the remedy."""

    code: str
    message: str
    place: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        gap = "\n" if "\n" in self.message else " "  # behind a traceback it would read as part of it
        remedy = f"{gap}{self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{remedy}"


class StokerError(Exception):
    """Base of all errors of this package. `code` is stable; `str()` is for people."""

    code = "error"
    status = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        place: str = "",
        remedy: str = "",
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.place = place
        self.remedy = remedy
        self.problems = tuple(problems)

    def __str__(self) -> str:
        first = str(Problem(code=self.code, message=self.message, place=self.place, remedy=self.remedy))
        return "\n".join([first, *(f"  - {problem}" for problem in self.problems)])


class Rejected(StokerError):
    """The request may not be done; repeating it unchanged gives the same answer."""

    code = "rejected"
    status = 400


class Invalid(Rejected):
    """What was sent is wrong; `problems` lists every fault with its place."""

    code = "invalid"


class Unauthorized(Rejected):
    """No token, or one that is unknown, expired or revoked."""

    code = "unauthorized"
    status = 401


class Forbidden(Rejected):
    """The token is valid, but lacks the scope or namespace."""

    code = "forbidden"
    status = 403


class NotFound(Rejected):
    """There is no such thing in this namespace."""

    code = "not_found"
    status = 404


class Conflict(Rejected):
    """The thing exists, in a state that refuses this."""

    code = "conflict"
    status = 409


class TooLarge(Rejected):
    """Over a limit; the message names the limit."""

    code = "too_large"
    status = 413


class Unavailable(StokerError):
    """Cannot be done right now; nothing was changed; try again."""

    code = "unavailable"
    status = 503


class RunError(StokerError):
    """What waiting for a run's result can end with, other than a result."""

    code = "run_error"
    status = 409


class RunFailed(RunError):
    """The run FAILED. `str()` shows the first causes with their remote tracebacks."""

    code = "run_failed"


class RunCancelled(RunError):
    """The run was CANCELLED."""

    code = "run_cancelled"


class NoResult(RunError):
    """The run SUCCEEDED, but what its result is made of was pruned or skipped."""

    code = "no_result"


BY_CODE: dict[int, type[StokerError]] = {
    cls.status: cls for cls in (Invalid, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unavailable)
}
