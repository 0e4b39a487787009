"""Verbs for all runs that a filter asks for, a page at a time.

The caller drives: each call does one page and says where the next one begins. Nothing is kept between calls, so whoever
dies loses nothing, and a page done twice finds nothing left to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stoker.core.bulk import BulkVerb, meant, unfit
from stoker.core.duration import SECOND, Micros
from stoker.core.model import Run
from stoker.core.run_filter import run_terms
from stoker.core.views import BulkAnswer, BulkRequest, Skipped
from stoker.engine.lists import Lists, Place, place
from stoker.engine.namespaces import Namespaces
from stoker.engine.paging import limited
from stoker.engine.ports import Clock, Store
from stoker.engine.runs import Runs
from stoker.errors import Invalid, Rejected

LONGEST: Micros = 5 * SECOND  # after which a page ends where it has come to
AT_ONCE = {"cancel": 100, "retry": 1}  # a retry reads its whole run in a transaction of its own


class Bulk:
    """Cancels and retries of many runs."""

    def __init__(self, store: Store, namespaces: Namespaces, lists: Lists, runs: Runs, clock: Clock) -> None:
        self._store = store
        self._namespaces = namespaces
        self._lists = lists
        self._runs = runs
        self._clock = clock

    async def runs(self, namespace: str, verb: BulkVerb, request: BulkRequest) -> BulkAnswer:
        """One page: the newest runs behind `after`. Invalid if the filter is empty, unless all are meant."""
        limit, before, terms = limited(request.limit), place(request.after), run_terms(request.filter)
        if not terms and not request.all:
            raise Invalid(
                f"an empty filter would {verb} every run.",
                code="empty_filter",
                place="filter",
                remedy="Say which, such as `graph=nightly`; or send `all` if all are meant.",
            )
        number = await self._namespaces.existing(namespace)
        asked = meant(verb, terms)
        found = await self._store.read(lambda reader: self._lists.runs(reader, number, asked, before, limit + 1))
        page, skipped = found[:limit], []
        ends = self._clock.now() + LONGEST
        done = 0
        while done < len(page) and (request.dry_run or self._clock.now() < ends):
            some = page[done : done + AT_ONCE[verb]]
            done += len(some)
            skipped += await self._each(namespace, verb, some, dry=request.dry_run)
        page = page[:done]
        left_out = {skip.id for skip in skipped}
        more = len(found) > len(page)
        return BulkAnswer(
            matched=len(page),
            done=[run.id for run in page if run.id not in left_out],
            skipped=skipped,
            after=Place(page[-1].created_at, page[-1].id).cursor if more else None,
        )

    async def _each(self, namespace: str, verb: BulkVerb, runs: Sequence[Run], *, dry: bool) -> list[Skipped]:
        answers = await asyncio.gather(*(self._one(namespace, verb, run, dry=dry) for run in runs))
        return [answer for answer in answers if answer is not None]

    async def _one(self, namespace: str, verb: BulkVerb, run: Run, *, dry: bool) -> Skipped | None:
        """Do it to one run; why not, if it refuses."""
        if fault := unfit(verb, run):
            return Skipped(id=run.id, code=fault.code, message=fault.message)
        if dry:
            return None
        try:
            if verb == "cancel":
                await self._runs.stop(run.id)
            else:
                await self._runs.retry(namespace, run.id)
        except Rejected as refused:
            return Skipped(id=run.id, code=refused.code, message=refused.message)
        return None
