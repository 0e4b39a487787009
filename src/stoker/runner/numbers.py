"""Which answer number a runner may say it has read.

The server releases a lease that came in an answer up to `read` and is not listed as held. Two streams carry answers,
so number 6 may arrive while 5 is still on the wire; naming 6 then would give 5's tasks away. A number counts as read
when it arrived, or when no call in flight can still bring it.
"""

from __future__ import annotations

from collections.abc import Iterable


class Numbers:
    """`highest` is the largest number that arrived. A call sent when it stood at n can only bring numbers above n."""

    def __init__(self) -> None:
        self.highest = 0
        self._above: set[int] = set()

    def arrived(self, number: int) -> None:
        """Note the number of an answer; 0 (an answer without tasks) says nothing."""
        if number:
            self._above.add(number)
            self.highest = max(self.highest, number)

    def read(self, sent_at: Iterable[int]) -> int:
        """Return the number to name now. `sent_at`: where `highest` stood when each call in flight was sent."""
        read = min(sent_at, default=self.highest)
        self._above = {number for number in self._above if number > read}
        while read + 1 in self._above:
            read += 1
        return read
