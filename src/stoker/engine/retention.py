"""What is kept of runs that have ended, by namespace, and the passes over those that are beyond it.

Any server makes them, a slice at a tick, between the batches. Where nothing is beyond, a pass is a few reads, once in a
while.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from stoker.core.duration import SECOND, Micros
from stoker.core.keep import EVERYTHING, Ended, Keep, expired, oldest
from stoker.core.keep_views import KeepSpec, KeepView
from stoker.core.states import RunState
from stoker.engine import single
from stoker.engine.acting import Note
from stoker.engine.alarm import Alarm
from stoker.engine.collecting import Collecting
from stoker.engine.erasing import SLICE, Erasing
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Clock, Reader, Store, Tx

BETWEEN: Micros = 600 * SECOND  # two passes
MOST_COUNTED = 10_000  # runs that an answer says are beyond what is kept

_FAILED = (RunState.FAILED, RunState.CANCELLED)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(KeepSpec).decode

Source = Literal["namespace", "settings", "default"]


class Rule(NamedTuple):
    """What is kept in a namespace. `last`: where the oldest run stands that is not beyond the count."""

    namespace: int
    keep: Keep
    last: tuple[Micros, int] | None


class Retention:
    """The rules, and one `tick` after the other. `default`: for namespaces that have no rule of their own."""

    def __init__(
        self,
        store: Store,
        namespaces: Namespaces,
        collecting: Collecting,
        clock: Clock,
        alarm: Alarm,
        default: KeepSpec,
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._clock = clock
        self._alarm = alarm
        self._default = default
        self._collecting = collecting
        self._erasing = Erasing(store, clock)
        self._look_at: Micros = 0
        self._pass: Pass | None = None

    # --- the rules ---

    async def show(self, namespace: str) -> KeepView:
        """The rule of a namespace, and how much is beyond it."""
        number = await self._namespaces.existing(namespace)
        rows = await self._store.read(lambda reader: reader.rows("keep", number))
        spec = _decode(rows[0][0]) if rows else self._default
        keep = spec.meaning
        source: Source = "namespace" if rows else "default" if keep.everything else "settings"
        return KeepView(keep=spec, source=source, beyond=await self._beyond(number, keep))

    async def put(self, namespace: str, spec: KeepSpec, *, dry_run: bool = False) -> KeepView:
        """Keep by this rule from now on; `dry_run`: only say what would be beyond it."""
        number = await self._namespaces.existing(namespace)
        keep = spec.meaning
        view = KeepView(keep=spec, source="namespace", beyond=await self._beyond(number, keep))
        if not dry_run:
            note = Note([f"retention:{namespace}"], msgspec.to_builtins(spec))
            await self._change(note, "put_keep", number, _encode(spec).decode())
        return view

    async def clear(self, namespace: str) -> KeepView:
        """Keep by what the settings say."""
        number = await self._namespaces.existing(namespace)
        await self._change(Note([f"retention:{namespace}"]), "delete_keep", number)
        return await self.show(namespace)

    async def _change(self, note: Note, statement: str, *values: int | str) -> None:
        async def change(tx: Tx) -> None:
            await tx.execute(statement, *values)

        await single.transact(self._store, change, lambda _: note)
        self._look_at = 0
        self._alarm.at(0)

    async def _beyond(self, namespace: int, keep: Keep) -> int:
        now, count = self._clock.now(), 0
        rule = await self._store.read(lambda reader: _rule(reader, namespace, keep))
        after: tuple[Micros, int] | None = (-1, 0)
        while after is not None and count < MOST_COUNTED:
            found, after = await _page(self._store, rule, now, after)
            count += len(found)
        return min(count, MOST_COUNTED)

    # --- passes ---

    async def tick(self) -> bool:
        """A slice of what is to be deleted; whether there may be more."""
        now = self._clock.now()
        if self._pass is None:
            if now < self._look_at:
                return False
            self._look_at = now + BETWEEN
            self._pass = Pass(self._store, self._erasing, await self._store.read(self._rules), now)
        try:
            more = await self._pass.step()
        except BaseException:
            self._pass = None
            raise
        if not more:
            if self._pass.deleting:
                await self._collecting.by_itself(self._pass.deleting)
            self._pass = None
        return more

    async def _rules(self, reader: Reader) -> list[Rule]:
        default = self._default.meaning
        keeps = {
            namespace: default if spec is None else _decode(spec).meaning
            for namespace, spec in await reader.rows("keeps")
        }
        return [await _rule(reader, namespace, keep) for namespace, keep in keeps.items() if not keep.everything]


class Pass:
    """One pass: hide what is beyond each rule, then erase what is hidden."""

    def __init__(self, store: Store, erasing: Erasing, rules: list[Rule], now: Micros) -> None:
        self._store = store
        self._erasing = erasing
        self._rules = rules
        self.deleting = [rule.namespace for rule in rules]  # whose runs are not kept for ever
        self._now = now
        self._after: tuple[Micros, int] | None = (-1, 0)

    async def step(self) -> bool:
        """One slice; whether there may be more."""
        if not self._rules:
            return bool(await self._erasing.erase())
        found, self._after = await _page(self._store, self._rules[0], self._now, self._after or (-1, 0))
        if found:
            await self._erasing.hide(found)
        if self._after is None:
            self._rules.pop(0)
        return True


async def _rule(reader: Reader, namespace: int, keep: Keep) -> Rule:
    if keep.count is None:
        return Rule(namespace, keep, None)
    states = [RunState.SUCCEEDED, *(_FAILED if keep.failed_age is None else ())]
    rows = await reader.rows("last_kept", namespace, [int(state) for state in states], keep.count)
    return Rule(namespace, keep, (rows[0][0], rows[0][1]) if rows else None)


async def _page(
    store: Store, rule: Rule, now: Micros, after: tuple[Micros, int]
) -> tuple[list[int], tuple[Micros, int] | None]:
    """The runs of a page that are beyond a rule, and where the next page begins, if there is one."""
    before = max(oldest(rule.keep, now), rule.last[0] if rule.last else 0)
    if rule.keep == EVERYTHING or not before:
        return [], None
    rows = await store.read(lambda reader: reader.rows("ended_runs", rule.namespace, *after, before, SLICE))
    found = [
        id_
        for id_, state, created, ended, keyed, imported in rows
        if expired(
            rule.keep,
            Ended(
                state in _FAILED,
                created,
                ended,
                bool(keyed),
                not imported and rule.last is not None and (created, id_) <= rule.last,
            ),
            now,
        )
    ]
    return found, (rows[-1][2], rows[-1][0]) if len(rows) == SLICE else None
