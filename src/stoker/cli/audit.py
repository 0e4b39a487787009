"""`stoker audit`: who did what, with which token, from where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from stoker.cli import exits, terminal
from stoker.cli.options import HERE, Where
from stoker.cli.reach import reached
from stoker.core.words import counted

if TYPE_CHECKING:
    from stoker.core.audit_views import AuditView

SHOWN = 3  # subjects of a line; more are counted


def audit(
    *filter: str,  # noqa: A002  what users read in the help
    limit: int = 50,
    after: str | None = None,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """List who did what, newest first; with -f the last ones, and each further one as it comes.

    stoker audit verb=cancel_run,cancel_runs 'at>2d'

    Parameters
    ----------
    filter: str
        Terms like verb=create_token subject=run:12 token=3 name=anna namespace=default outcome=refused code=forbidden
        address=10.0.0.7 request=ID 'at>2d' (less than 2 days ago); with != for what is not.
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    follow: bool
        Go on until Ctrl-C.
    """
    text = " ".join(filter)
    with reached(where) as here:
        call, look = here.client.call, here.client.api.audit
        if follow:
            from stoker.runner.audit import following

            for row in following(lambda text, after: call(look(text, limit=limit, after=after)), text):
                _line(row, where)
        page = call(look(text, limit=limit, after=after))
    if where.output == "json":
        terminal.document(page)
    elif not page.items:
        terminal.note("nobody did anything of that")
    else:
        terminal.table(["WHEN (UTC)", "WHO", "VERB", "ON", "OUTCOME", "FROM"], [*map(_row, page.items)], grow="ON")
        if page.after:
            terminal.note(f"more: --after {page.after}")
    return exits.OK


def _line(row: AuditView, where: Where) -> None:
    if where.output == "json":
        import msgspec

        terminal.say(msgspec.json.encode(row).decode())
    else:
        terminal.say("  ".join(cell for cell in _row(row) if cell))


def _row(row: AuditView) -> list[str]:
    return [
        f"{row.at:%Y-%m-%d %H:%M:%S}",
        _who(row),
        row.verb or "anything",
        " ".join([_on(row), *(f"{name}={_short(value)}" for name, value in row.details.items())]).strip(),
        row.outcome if row.outcome != "refused" else f"refused: {row.code} ({counted(row.count, 'time')})",
        row.address,
    ]


def _who(row: AuditView) -> str:
    if row.token is None:
        return row.name or "without a token"
    return f"{row.name} ({row.token})" if row.token else row.name


def _on(row: AuditView) -> str:
    more = f" and {len(row.subjects) - SHOWN} more" if len(row.subjects) > SHOWN else ""
    at = f"{row.namespace}: " if row.namespace and row.subjects else ""
    return at + ", ".join(row.subjects[:SHOWN]) + more


def _short(value: object) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
