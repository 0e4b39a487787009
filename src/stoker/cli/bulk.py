"""Cancel and retry of all runs that a filter asks for: what would happen, a question, a progress line, a summary."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from stoker.cli import exits, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.listing import table_of
from stoker.cli.options import Where
from stoker.cli.reach import Reached, reached
from stoker.core.bulk import BulkVerb
from stoker.core.filter import term
from stoker.core.views import BulkAnswer, BulkRequest
from stoker.core.words import counted
from stoker.errors import Unavailable
from stoker.runner.bulk import Pages, pages, together

SHOWN = 10  # runs of a filter that are listed before it is done
LOOKED = 1_000  # runs of a page that is only looked at
DONE = {"cancel": 200, "retry": 20}  # runs of a page that is done: so many take about a second
AGAIN_S = 1.0  # until a server that is away is asked again
_PAST = {"cancel": "cancelled", "retry": "retried"}


def one_of(which: Sequence[str]) -> int | None:
    """The run, if exactly one is named by its id."""
    return numbers.id_of(which[0]) if len(which) == 1 and "=" not in which[0] and not _compares(which[0]) else None


def bulk(verb: BulkVerb, which: Sequence[str], where: Where, *, all_: bool, dry_run: bool, yes: bool) -> int:
    """Do it to all of them, or (`dry_run`) say to which."""
    request = BulkRequest(filter=_filter(verb, which, all_=all_), all=all_, dry_run=True, limit=LOOKED)
    with reached(where) as here:
        would = together(_pages(here, verb, request))
        if dry_run or not would.done:
            return _tell(verb, would, request.filter, where, dry=True, here=here)
        if not yes:
            _show(here, would)
            if not agreed(verb, len(would.done)):
                terminal.note("nothing was done")
                return exits.OK
        request = BulkRequest(filter=request.filter, all=all_, limit=DONE[verb])
        done = together(_shown(verb, _pages(here, verb, request), len(would.done)))
        return _tell(verb, done, request.filter, where, dry=False, here=here)


def _filter(verb: BulkVerb, which: Sequence[str], *, all_: bool) -> str:
    if which and all(not _compares(text) for text in which):
        return term("id", *(str(numbers.id_of(text)) for text in which))
    if not which and not all_:
        raise Usage(
            f"which runs to {verb} is not said",
            place="ID or FILTER",
            remedy=f"Write `stoker runs {verb} 12`, or a filter such as graph=nightly; --all means every run.",
        )
    return " ".join(which)


def _compares(text: str) -> bool:
    return any(sign in text for sign in "=<>")


def _pages(here: Reached, verb: BulkVerb, request: BulkRequest) -> Pages:
    """The pages; one that a server which is away did not answer is asked for again."""
    return pages(lambda page: _patiently(here, verb, page), request)


def _patiently(here: Reached, verb: BulkVerb, page: BulkRequest) -> BulkAnswer:
    api = here.client.api
    away = False
    while True:
        try:
            return here.client.call(api.cancel_runs(page) if verb == "cancel" else api.retry_runs(page))
        except Unavailable as error:
            if here.embedded is not None or (page.after is None and page.dry_run):
                raise
            if not away:
                terminal.note(f"\n{error.message} Asking again until the server is back; Ctrl-C loses nothing.")
            away = True
            time.sleep(AGAIN_S)


def _show(here: Reached, would: BulkAnswer) -> None:
    """The newest of them, on stderr like the question."""
    ids = term("id", *map(str, would.done[:SHOWN]))
    terminal.note(table_of(here.client.call(here.client.api.runs(ids)).items))
    if (more := len(would.done) - SHOWN) > 0:
        terminal.note(f"… and {more} more")


def agreed(verb: str, count: int) -> bool:
    if not sys.stdin.isatty():
        raise Usage(
            f"to {verb} {counted(count, 'run')} wants a yes, and nobody is there to be asked",
            remedy="Add --yes to do it, or --dry-run to see which.",
        )
    print(f"{verb} {counted(count, 'run')}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _shown(verb: BulkVerb, answers: Pages, count: int) -> Pages:
    """The same, with a line that says how far it is."""
    seen = 0
    alive = sys.stderr.isatty()
    try:
        for answer in answers:
            seen += len(answer.done)
            if alive:
                print(f"\r{_PAST[verb]} {seen} of {max(count, seen)}", end="", file=sys.stderr, flush=True)
            yield answer
    except KeyboardInterrupt:
        with suppress(OSError):
            terminal.note(f"\n{_PAST[verb]} {counted(seen, 'run')}; the same command goes on with the rest")
        raise
    if alive:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _tell(verb: BulkVerb, answer: BulkAnswer, text: str, where: Where, *, dry: bool, here: Reached) -> int:
    if where.output == "json":
        terminal.document(answer)
        return exits.OK
    if not answer.matched:
        terminal.note(f"there is no run to {verb}{f' with {text}' if text else ''}")
        return exits.OK
    if dry and answer.done:
        _show(here, answer)
    count = counted(len(answer.done), "run")
    if dry and not answer.done:
        terminal.note(f"there is no run to {verb} among {counted(answer.matched, 'run')}")
    else:
        terminal.say(f"would {verb} {count}" if dry else f"{_PAST[verb]} {count}")
    for message, skipped in Counter(skip.message for skip in answer.skipped).most_common():
        terminal.note(f"  skipped {counted(skipped, 'run')}: {message}")
    return exits.OK
