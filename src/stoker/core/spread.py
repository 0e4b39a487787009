"""Wide fan-out in slices: rows that stand for READY tasks which are still to be made.

For every count, join and cancel a spread row *is* the tasks it stands for (`standing`); only runners do not see them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from stoker.core.model import ELEMENT_INLINE, Spread, Task

Place = tuple[bytes, bytes | None]  # the last steps of a branch, the element that is there

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Place]).decode


def carried(element: bytes | None) -> bytes | None:
    """What of an element travels with its task; a larger one is read from its source."""
    return element if element is not None and len(element) <= ELEMENT_INLINE else None


def packed(places: Sequence[Place], *, whole: bool) -> bytes:
    """The places of a row in one value. `whole`: with elements of any size, since an inline node settles with them."""
    return _encode(places if whole else [(place, carried(element)) for place, element in places])


def unpacked(places: bytes) -> list[Place]:
    """The places of a row. DecodeError if they are none."""
    return _decode(places)


def places_of(row: Spread) -> list[Place]:
    """Where the tasks of a row are made, below its branch."""
    return unpacked(row.places)


def standing(row: Spread) -> Iterator[Task]:
    """The tasks that a row stands for, as if they had been made. They have no ids yet."""
    for place, _ in places_of(row):
        yield Task(
            id=0,
            run=row.run,
            node=row.node,
            branch=row.branch + place,
            generation=row.generation,
            state=row.state,
            parent=row.parent,
            created_at=row.created_at,
        )
