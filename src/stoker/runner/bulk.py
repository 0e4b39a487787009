"""A verb for many, driven to its end: page after page, whatever a page was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from stoker.core.views import BulkAnswer, BulkRequest

Ask = Callable[[BulkRequest], BulkAnswer]
Pages = Iterator[BulkAnswer]


def pages(ask: Ask, request: BulkRequest) -> Pages:
    """The answers, one for each page."""
    while True:
        answer = ask(request)
        yield answer
        if answer.after is None:
            return
        request = msgspec.structs.replace(request, after=answer.after)


def together(answers: Pages) -> BulkAnswer:
    """All of them as one."""
    matched, done, skipped = 0, [], []
    for answer in answers:
        matched += answer.matched
        done += answer.done
        skipped += answer.skipped
    return BulkAnswer(matched=matched, done=done, skipped=skipped)
