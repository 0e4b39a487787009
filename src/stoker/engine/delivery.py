"""Secrets on their way to the runner that holds the lease: opened after the commit, only where some are declared.

What they hold is never in a transaction, a batch or a fold: `Handout` notes the names, the answer gets the values.
"""

from __future__ import annotations

import logging

import msgspec

from stoker.core.duration import SECOND, Micros
from stoker.core.secret import bound, bound_to_graph
from stoker.engine.batch import Batches
from stoker.engine.declared import Declared, found
from stoker.engine.dispatch import Handed
from stoker.engine.exchange import Handback
from stoker.engine.namespaces import Namespaces
from stoker.engine.ports import Keyring, Sealed, Shut, Store, Tx
from stoker.engine.sessions import Session
from stoker.engine.transaction import Batch

AGAIN: Micros = 30 * SECOND  # until a task is offered anew whose secrets this server cannot open; another may

_log = logging.getLogger("stoker.secrets")


class PutOff(Handback):
    """Leases of tasks whose secrets cannot be opened here: offered again later, as if their runner had asked for it."""

    async def decide(self, tx: Tx, batch: Batch) -> None:
        for task, attempt in self._leases:
            batch.fold.requeue(task, attempt, self._holder, AGAIN)


class Delivery:
    """Puts secrets into assignments."""

    def __init__(self, store: Store, namespaces: Namespaces, keys: Keyring, batches: Batches) -> None:
        self._store = store
        self._namespaces = namespaces
        self._keys = keys
        self._batches = batches
        self._told: set[str] = set()

    async def fill(self, session: Session, handed: Handed) -> Handed:
        """The same tasks with the secrets that they declare and that are set.

        A task is left out, and offered again later, if one of them cannot be opened here: a wrong key fails nothing.
        """
        wanted = {task.task: handed.secrets[task.task] for task in handed.tasks if task.task in handed.secrets}
        if not wanted:
            return handed
        all_found = {each: await self.open(session.namespace, each) for each in set(wanted.values())}
        late = [task for task in handed.tasks if task.task in wanted and all_found[wanted[task.task]][1]]
        if late:
            self._batches.start(PutOff(session.holder, [(task.task, task.attempt) for task in late]))
        tasks = [
            msgspec.structs.replace(task, secrets=all_found[wanted[task.task]][0]) if task.task in wanted else task
            for task in handed.tasks
            if task not in late
        ]
        return handed._replace(tasks=tasks)

    async def open(self, namespace: int, declared: Declared) -> tuple[dict[str, str], set[str]]:
        """Those that are set, opened, and those that cannot be: of the graph, else of the namespace of the kind."""
        own, kept = await self._store.peek(lambda reader: found(reader, declared, namespace))
        there, here = self._namespaces.name(declared.namespace), self._namespaces.name(namespace)
        bounds = [
            (row, bound_to_graph(there, declared.graph, row[0]), f"graph {declared.graph!r} of {there!r}")
            for row in own
        ]
        bounds += [(row, bound(here, row[0]), repr(here)) for row in kept]
        opened, shut = {}, set()
        for (name, key, body), context, where in bounds:
            try:
                opened[name] = self._keys.open(Sealed(key, body), context).decode()
            except Shut as error:
                shut.add(name)
                self._complain(f"the secret {name!r} of {where} cannot be opened: {error}")
        return opened, shut

    def _complain(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            _log.error("%s; tasks that need it are offered again every %d s", message, AGAIN // SECOND)
