"""The calls of HEAT that a processor may make of its runtime. Against a Stoker server each says what to use instead."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from heat_runtime.core_api import CoreApi, Refused
from heat_runtime.heat_task import HeatTask, payload, written
from stoker.errors import Rejected


class NotServed(Rejected):
    """A call of HEAT was made by a runner that does not serve a HEAT server."""

    code = "heat_dialect_not_served"


class Helpers:
    """All are synchronous, and raise NotServed without a server that speaks HEAT."""

    api: CoreApi | None = None
    task: HeatTask | None = None
    _store: tuple[str, int] | None = None

    def create_node_output(
        self, node: int, configuration: Any, identifier: str = "output", data_path: str = ""
    ) -> dict[str, Any]:
        """Give an output of a node: JSON, as a value or as text."""
        text = configuration if isinstance(configuration, str) else written(configuration)
        return self._api("create_node_output()").output(node, text, self.store_id, identifier, data_path)

    def upload_result(self, value: Any, identifier: str = "output") -> dict[str, Any]:
        """Give one more output of the task's node."""
        return self.create_node_output(self._task("upload_result()").node, value, identifier)

    def update_node_status(self, node: int, state: int, text: str = "") -> None:
        self._api("update_node_status()").status(node, state, text)

    def complete_node(self, task: Any, text: str = "Processing succeeded; node is ready for more work.") -> None:
        self._api("complete_node()").status(task.node, 3, text)
        self._api("complete_node()").complete(task.id)

    def fail_node(self, task: Any, text: str = "Processing failed;") -> None:
        self._api("fail_node()").status(task.node, 2, text)
        self._api("fail_node()").fail(task.id)

    def get_platform_config(self, prefix: str) -> SimpleNamespace:
        """What lies below a prefix; `data` has it."""
        return SimpleNamespace(data=self._api("get_platform_config()").configuration(prefix))

    def set_platform_config(self, name: str, value: str) -> None:
        self._api("set_platform_config()").configure(name, value)

    def session(self, id_: str) -> SimpleNamespace:
        """A session, of which `get_users()` gives users with their `externalId`."""
        api = self._api("session()")
        return SimpleNamespace(
            get_users=lambda: [SimpleNamespace(**each, externalId=each["externalHeatId"]) for each in api.users(id_)]
        )

    @property
    def default_store(self) -> str:
        """The name of the data source in which outputs lie."""
        return self._found("default_store")[0]

    @property
    def store_id(self) -> int:
        return self._found("store_id")[1]

    def fetch_latest_inputs(self) -> dict[str, bytes]:
        """What the task was given."""
        return self._task("fetch_latest_inputs()").inputs

    def fetch_all_inputs(self) -> dict[str, list[bytes]]:
        """All that the nodes before the task's have given, by node, oldest first."""
        api, task = self._api("fetch_all_inputs()"), self._task("fetch_all_inputs()")
        return {name: [payload(each) for each in api.outputs(node)] for node, name in task.parents.items()}

    def load_env(self, runner_name: str | None = None, *, fail_on_missing: bool = False) -> None:
        """Set variables that are not set, as the configuration below a name says: `a.b` by its dotted name."""
        api = self._api("load_env()")
        prefix = runner_name or os.environ.get("RunnerName") or "sample_runner"  # noqa: SIM112  the name is HEAT's
        try:
            found = api.configuration(prefix)
        except Refused as refused:
            if refused.status != 404 or fail_on_missing:
                raise
            return
        for name, value in _flat(found, ""):
            os.environ.setdefault(name, value)

    def _task(self, call: str) -> HeatTask:
        self._api(call)
        if self.task is None:
            raise NotServed(f"HeatRuntime.{call} is for while a task is run, and none is.")
        return self.task

    def _found(self, call: str) -> tuple[str, int]:
        if self._store is None:
            api = self._api(call)
            name = str(api.configuration("runner_config").get("default_store", ""))
            self._store = name, api.source(name) or 1
        return self._store

    def _api(self, call: str) -> CoreApi:
        if self.api is None:
            raise NotServed(
                f"HeatRuntime.{call} needs a server that speaks HEAT, and this runner serves none.",
                remedy="Name one in CORE_API_URL, such as http://localhost:5220; or return the output from `process`.",
            )
        return self.api


def _flat(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield prefix + name, ",".join(map(_text, value))
        else:
            yield prefix + name, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
