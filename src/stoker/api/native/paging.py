"""Query parameters that several nouns share."""

from __future__ import annotations

from typing import Annotated

import msgspec

from stoker.api.query import Limit, Query

Cursor = Annotated[int, msgspec.Meta(ge=0, description="Go on after this: the `cursor` of the last chunk read.")]


class LogsQuery(Query, frozen=True):
    limit: Limit = 200
    after: Cursor = 0
