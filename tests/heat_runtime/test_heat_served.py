"""The runner and debug mode against a real server that speaks HEAT."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from heat_runtime import BaseProcessor, HeatRuntime, beating
from heat_runtime.beating import Beating
from heat_runtime.core_api import CoreApi, Refused
from heat_runtime.debug import debug
from heat_runtime.registry import Registry
from stoker.api.dialects.heat.dialect import heat
from stoker.bootstrap.embedded import Embedded
from stoker.config import Heat


@pytest.fixture(scope="module")
def api() -> Iterator[CoreApi]:
    with Embedded(dialects=[heat(Heat())]) as server:
        yield CoreApi(server.url, server.token)


class Sum(BaseProcessor):
    TEMPLATE_NAME = "sum"

    async def validate(self, inputs: dict[str, Any], config: dict[str, Any]) -> None:
        if "file" not in inputs:
            raise ValueError("expected 'file' artefact in inputs")

    async def process(self, inputs: dict[str, Any], config: dict[str, Any]) -> Any:
        values = json.loads(inputs["file"])
        if values == "fail":
            raise RuntimeError("kaput")
        return {"sum": sum(values), "infinite": float("inf"), **config}


class Stage:
    """A session with an upload and a sum, and a runner that does one task."""

    def __init__(self, api: CoreApi, processor: Any = Sum) -> None:
        self.api = api
        self.registry = Registry()
        self.registry.register(processor)
        self.runtime = HeatRuntime()
        self.runtime.api = api
        self.beating = Beating(api, self.registry, self.runtime, tag="t", poll_s=0.01, grace=0.0)
        names = {each["name"]: each["id"] for each in api.call("GET", "/api/nodetemplates")["template"]}
        if "sum" not in names:
            body = {"name": "sum", "type": "Processing", "featureInternalName": "f", "acceptsMultipleInputs": True}
            names["sum"] = api.call("POST", "/api/nodetemplates", body)["template"]["id"]
        project = api.call("POST", "/api/projects", {"title": "P"})["id"]
        nodes = [
            {"name": "upload", "nodeTemplateId": names["input"]},
            {"name": "sum", "nodeTemplateId": names["sum"], "parents": [{"name": "upload"}]},
        ]
        template = api.call("POST", "/api/sessiontemplates", {"nodes": nodes})["id"]
        body = {"sessionTemplateId": template}
        self.session = api.call("POST", "/api/sessions", body, projectId=project)["id"]
        listed = api.call("GET", "/api/nodes", sessionId=self.session)["template"]
        self.nodes = {each["name"]: each["id"] for each in listed}

    def give(self, value: Any) -> None:
        self.api.output(self.nodes["upload"], json.dumps(value), 1, "csv")

    @property
    def state(self) -> tuple[int, str]:
        found = self.api.node(self.nodes["sum"])
        return found["lastState"], found["statusDetails"]

    @property
    def output(self) -> Any:
        return json.loads(self.api.node(self.nodes["sum"])["currentOutput"]["configuration"])


def test_a_task_is_validated_processed_and_completed(api: CoreApi) -> None:
    stage = Stage(api)
    assert not stage.beating.turn()
    stage.give([1, 2])
    assert stage.beating.turn()
    assert stage.output == {"sum": 3, "infinite": None}
    assert stage.state == (3, beating.SUCCEEDED)
    assert not stage.beating.turn()


def test_what_a_processor_raises_is_the_word_of_its_node_and_the_runner_goes_on(api: CoreApi) -> None:
    stage = Stage(api)
    stage.give("fail")
    assert stage.beating.turn()
    assert stage.state == (2, "kaput")
    stage.give([4])
    assert stage.beating.turn()
    assert stage.output["sum"] == 4


def test_two_inputs_are_no_file() -> None:
    outputs = [
        {"id": number, "nodeInstanceId": number, "configuration": "1", "outputIdentifier": f"o{number}"}
        for number in (1, 2)
    ]
    node = {"id": 9, "name": "n", "parents": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
    task = beating.HeatTask({"id": 1, "nodeInstance": node, "parentNodeOutputs": outputs})
    assert list(task.inputs) == ["o1", "o2", "a", "b"]


def test_a_runner_that_stops_gives_back_what_it_cannot_finish(api: CoreApi) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Sum):
        async def process(self, inputs: dict[str, Any], config: dict[str, Any]) -> Any:
            begun.set()
            go_on.wait(30)
            return 1

    stage = Stage(api, Slow)
    stage.give([1])
    running = threading.Thread(target=stage.beating.turn)
    running.start()
    assert begun.wait(30)
    stage.beating.stop()
    running.join(30)
    assert not running.is_alive()
    assert stage.state[0] == 0
    task = api.claim("other", ["sum"])
    go_on.set()
    assert task is not None
    assert task["retryCount"] == 0
    assert api.complete(task["id"])


def test_a_beat_keeps_the_lease_and_a_lost_one_drops_the_result(api: CoreApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "EARLY_S", 0.01)
    stage = Stage(api)
    told = threading.Event()

    class Slow(Sum):
        async def process(self, inputs: dict[str, Any], config: dict[str, Any]) -> Any:
            assert told.wait(30)
            return 1

    stage.registry.unregister("sum")
    stage.registry.register(Slow)
    beats: list[int] = []

    def lost(task: int, lease_s: int) -> bool:
        beats.append(lease_s)
        told.set()
        return False

    stage.give([1])
    monkeypatch.setattr(stage.beating, "_signal", lambda task: None)
    monkeypatch.setattr(api, "signal", lost)
    assert stage.beating.turn()
    monkeypatch.undo()
    assert beats == [60]
    assert stage.api.node(stage.nodes["sum"])["currentOutput"] is None
    task = api.node(stage.nodes["sum"])
    assert task["lastState"] == 1


def test_debug_mode_runs_a_node_with_what_its_parents_gave(api: CoreApi) -> None:
    stage = Stage(api)
    with pytest.raises(LookupError, match="No parent of node"):
        debug(api, stage.registry, stage.runtime, stage.nodes["sum"])
    stage.give("fail")
    with pytest.raises(RuntimeError, match="kaput"):
        debug(api, stage.registry, stage.runtime, stage.nodes["sum"])
    assert stage.state[0] == 0
    stage.give([5])
    debug(api, stage.registry, stage.runtime, stage.nodes["sum"])
    assert (stage.output["sum"], stage.state[0]) == (5, 3)


def test_a_server_that_refuses_the_runner_ends_it(api: CoreApi) -> None:
    stage = Stage(api)
    stage.beating._api = CoreApi(api._url, "wrong")
    with pytest.raises(SystemExit):
        stage.beating.turn()
    with pytest.raises(Refused):
        stage.beating._api.node(1)


def test_helpers_speak_to_the_server(api: CoreApi) -> None:
    stage = Stage(api)
    runtime = stage.runtime
    assert (runtime.default_store, runtime.store_id) == ("HEAT Managed Object Store", 1)
    runtime.set_platform_config("mine.flag", "x")
    assert runtime.get_platform_config("mine").data == {"flag": "x"}
    runtime.update_node_status(stage.nodes["sum"], 3, "said")
    assert stage.state == (3, "said")
    api.call("POST", f"/api/sessions/{stage.session}/users", {"userId": 1, "role": "r"})
    assert [each.externalId for each in runtime.session(stage.session).get_users()]
