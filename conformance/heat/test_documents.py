"""The published client makes, reads, changes and deletes HEAT's documents. Values are compared, not survival."""

from __future__ import annotations

from typing import Any

import pytest
from client import Client, Failed

STORE = {"name": "live", "description": "d", "type": 4, "connectionString": "http://key:secret@127.0.0.1:9/"}
RUNNER = {
    "name": "live-runner",
    "containerImage": "registry.example.com/sum:1.0.0",
    "cpuLimit": "1",
    "memoryLimit": "1Gi",
    "featureInternalName": "live",
    "enabled": True,
}
SUM = {"name": "live-sum", "type": "Processing", "featureInternalName": "live", "acceptsMultipleInputs": True}


def has(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return {name: found.get(name) for name in wanted} == wanted


def refused(client: Client, status: int, method: str, *args: Any) -> None:
    with pytest.raises(Failed) as failed:
        client(method, *args)
    assert failed.value.status == status


def test_data_sources(client: Client) -> None:
    made = client("createDataSource", STORE)
    assert client.made == "S3DataSource"
    assert has(made, STORE)
    assert has(client("getDataSourceById", made["id"]), STORE)
    assert client("updateDataSource", made["id"], {"description": "d2"}) == {**made, "description": "d2"}
    listed = client("listDataSources")
    assert client.made == "S3DataSource"
    assert [each["id"] for each in listed] == [1, made["id"]]
    client("deleteDataSource", made["id"])
    refused(client, 404, "getDataSourceById", made["id"])


def test_runner_types_and_node_templates(client: Client) -> None:
    runner = client("createRunnerType", RUNNER)
    assert has(runner, RUNNER)
    assert client("listRunnerTypes") == [runner]
    client("updateRunnerType", runner["id"], {**RUNNER, "description": "d2"})
    assert client("getRunnerTypeById", runner["id"])["description"] == "d2"
    refused(client, 400, "createRunnerType", {**RUNNER, "name": "other", "cpuLimit": "lots"})
    template = client("createNodeTemplate", SUM)
    assert has(template, {**SUM, "type": 2})
    assert client("getNodeTemplateById", template["id"]) == template
    assert template in client("listNodeTemplates")
    changed = client("updateNodeTemplate", template["id"], {"supportedRunners": ["live-runner"]})
    assert [each["name"] for each in changed["supportedRunners"]] == ["live-runner"]
    mappings = {each["nodeTemplateName"]: each["runnerTypes"] for each in client("getNodeTemplateRunnerMappings")}
    assert mappings["live-sum"] == [{"id": runner["id"], "name": "live-runner"}]
    assert [each["id"] for each in client("getRunnerTypeSupportedTemplates", runner["id"])] == [template["id"]]
    refused(client, 409, "deleteRunnerType", runner["id"])
    client("deleteNodeTemplate", template["id"])
    client("deleteRunnerType", runner["id"])
    assert client("listRunnerTypes") == []


def test_session_templates_and_their_nodes(client: Client) -> None:
    work = client("createNodeTemplate", SUM)["id"]
    template = client("createSessionTemplate", {"name": "live", "description": "d", "configuration": "{}", "nodes": []})
    assert has(template, {"name": "live", "description": "d", "configuration": "{}", "nodes": []})
    id_ = template["id"]
    upload = client("createSessionTemplateNode", id_, {"name": "upload", "nodeTemplateId": 1, "parents": []})
    assert client.made == "SessionTemplateNode"
    wanted = {
        "name": "sum",
        "nodeTemplateId": work,
        "defaultConfiguration": '{"x":1}',
        "parents": [{"id": upload["id"]}],
    }
    sum_ = client("createSessionTemplateNode", id_, wanted)
    assert sum_["defaultConfiguration"] == '{"x":1}'
    client("updateSessionTemplateNode", id_, sum_["id"], {"name": "total"})
    found = client("getSessionTemplateNodeById", id_, sum_["id"])
    assert (found["name"], [parent["id"] for parent in found["parents"]]) == ("total", [upload["id"]])
    client("updateSessionTemplateNode", id_, sum_["id"], {"parentIds": []})
    assert client("getSessionTemplateNodeById", id_, sum_["id"])["parents"] == []
    client("updateSessionTemplateNode", id_, sum_["id"], {"parentIds": [upload["id"]]})
    assert [node["name"] for node in client("listSessionTemplateNodes", id_)] == ["upload", "total"]
    client("updateSessionTemplate", id_, {"description": "d2"})
    assert client("getSessionTemplateById", id_)["description"] == "d2"
    file = client("exportSessionTemplate", id_)
    refused(client, 409, "importSessionTemplate", file)
    copy = client("importSessionTemplate", {**file, "name": "live-copy"})
    assert copy["id"] != id_
    assert client("exportSessionTemplate", copy["id"]) == {**file, "name": "live-copy"}
    assert {"live", "live-copy"} <= {each["name"] for each in client("listSessionTemplates")}
    refused(client, 400, "updateSessionTemplateNode", id_, upload["id"], {"parentIds": [upload["id"]]})
    client("deleteSessionTemplateNode", id_, upload["id"])
    assert [(node["name"], node["parents"]) for node in client("listSessionTemplateNodes", id_)] == [("total", [])]
    client("deleteSessionTemplate", id_)
    client("deleteSessionTemplate", copy["id"])
    client("deleteNodeTemplate", work)


def test_projects(client: Client) -> None:
    wanted = {"title": "Live", "description": "d", "icon": "folder", "ownerId": 1, "defaultSessionTemplateId": 1}
    made = client("createProject", wanted)
    assert has(made, wanted)
    assert made["hexId"] == f"{made['id']:x}"
    client("updateProject", made["id"], {**wanted, "description": "d2"})
    assert client("getProjectById", made["id"])["description"] == "d2"
    assert [each["id"] for each in client("listProjects")] == [made["id"]]
    assert client.made == "Project"
    client("deleteProject", made["id"])
    refused(client, 404, "getProjectById", made["id"])


def test_platform_configuration(client: Client) -> None:
    client("setConfigValue", "live.b.c", "one", {"description": "kept"})
    client("setConfigValue", "live.b.c", "two")
    assert has(client("getPlatformConfigDetail", "live.b.c"), {"value": "two", "description": "kept"})
    assert client("getConfigValue", "live.b.c") == "two"
    assert client("getConfigValue", "live") == client("getConfig", "live") == {"b": {"c": "two"}}
    client("getConfigValue", "live.b")
    assert client.made == "undefined"
    client("createPlatformConfig", {"name": "live.flag", "valueType": 3, "value": "true"})
    client("createPlatformConfig", {"name": "live.count", "valueType": 1, "value": "7"})
    client("createPlatformConfig", {"name": "live.list", "valueType": 4, "value": "[1,2]"})
    client("createPlatformConfig", {"name": "live.none", "valueType": 0, "value": None})
    read = client("getPlatformConfigurationByPrefix", "live")
    assert read == {"b": {"c": "two"}, "flag": True, "count": 7, "list": [1, 2], "none": None}
    assert client("getAllPlatformConfig")["live"] == read
    refused(client, 404, "getPlatformConfigurationByPrefix", "nothing")
    refused(client, 409, "createPlatformConfig", {"name": "live.b", "valueType": 0, "value": "x"})
    refused(client, 400, "createPlatformConfig", {"name": "all.x", "valueType": 0, "value": "x"})
    client("createPlatformConfig", {"name": "a b/c.d", "valueType": 0, "value": "escaped"})
    client("updatePlatformConfig", "a b/c.d", {"value": "changed"})
    assert client("getPlatformConfigDetail", "a b/c.d")["value"] == "changed"
    client("deletePlatformConfig", "a b/c.d")
    refused(client, 404, "getPlatformConfigDetail", "a b/c.d")


def test_configuration_becomes_the_environment_of_a_runner(client: Client) -> None:
    for name, value_type, value in (("flag", 3, "true"), ("s3.gzip", 1, "7"), ("list", 4, "[1,2]"), ("none", 0, None)):
        client("createPlatformConfig", {"name": f"live_env.{name}", "valueType": value_type, "value": value})
    client("createPlatformConfig", {"name": "live_env.kept", "valueType": 0, "value": "new"})
    client.environment(kept="old")
    client("loadEnv", {"runnerName": "live_env"})
    names = ("flag", "s3.gzip", "list", "none", "kept")
    were = client.environment(**dict.fromkeys(names))
    assert were == {"flag": "true", "s3.gzip": "7", "list": "1,2", "none": "null", "kept": "old"}
    client("loadEnv", {"runnerName": "nothing"})
    refused(client, 404, "loadEnv", {"runnerName": "nothing", "failOnMissing": True})
