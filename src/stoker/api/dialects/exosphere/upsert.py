"""The body of an upsert: each field is read and checked for itself, and what is wrong is told for all of them."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from stoker.api.dialects.exosphere import crons
from stoker.api.dialects.exosphere.entries import Entries, Loc
from stoker.api.dialects.exosphere.placeholders import STORE
from stoker.api.dialects.exosphere.refusals import Unprocessable
from stoker.api.dialects.exosphere.wire import (
    STRATEGIES,
    Node,
    Policy,
    StoreConfig,
    Trigger,
    TriggerBody,
    Unites,
    UnitesStrategy,
    Upsert,
)
from stoker.core.names import fault

_BODY: Loc = ("body",)
_NUMBERS = (("max_retries", 0), ("backoff_factor", 1), ("exponent", 1), ("max_delay", 1))


def read_upsert(given: object) -> Upsert:
    """What a graph template is to be. Unprocessable names every field that cannot be read."""
    entries = Entries()
    body = entries.mapping(given, _BODY)
    if body is None:
        raise Unprocessable(entries.found)
    secrets, nodes = _secrets(entries, body), _nodes(entries, body)
    policy, store = _policy(entries, body.get("retry_policy")), _store(entries, body.get("store_config"))
    triggers, times = _triggers(entries, body.get("triggers")), _times(entries, body, _BODY)
    entries.check()
    return Upsert(
        secrets=secrets,
        nodes=nodes,
        retry_policy=policy,
        store_config=store,
        triggers=triggers,
        **times,
    )


def read_trigger(given: object) -> TriggerBody:
    """What a trigger gives. Unprocessable as above."""
    entries = Entries()
    body = entries.mapping(given, _BODY)
    if body is None:
        raise Unprocessable(entries.found)
    delay = entries.integer(body.get("start_delay", 0), (*_BODY, "start_delay"), least=0)
    inputs = entries.texts(body.get("inputs", {}), (*_BODY, "inputs"))
    store = entries.texts(body.get("store", {}), (*_BODY, "store"))
    for key in store or ():
        if wrong := fault(key):
            entries.wrong((*_BODY, "store", key), wrong, key)
    entries.check()
    return TriggerBody(start_delay=delay or 0, inputs=inputs or {}, store=store or {})


def _secrets(entries: Entries, body: dict[str, Any]) -> dict[str, str]:
    loc = (*_BODY, "secrets")
    if "secrets" not in body:
        entries.missing(loc, body)
        return {}
    unsaid = Entries()
    found = unsaid.texts(body["secrets"], loc) or {}
    entries.found += [each | {"input": None} for each in unsaid.found]  # no answer tells what may be a secret
    for name in found:
        if wrong := fault(name):
            entries.wrong((*loc, name), wrong, name)
    return found


def _nodes(entries: Entries, body: dict[str, Any]) -> list[Node]:
    loc = (*_BODY, "nodes")
    if "nodes" not in body:
        entries.missing(loc, {name: value for name, value in body.items() if name != "secrets"})
        return []
    read = [_node(entries, node, (*loc, at)) for at, node in enumerate(entries.listed(body["nodes"], loc) or ())]
    return [node for node in read if node is not None]


def _node(entries: Entries, given: object, loc: Loc) -> Node | None:
    node = entries.mapping(given, loc)
    if node is None:
        return None
    name = _named(entries, node, "node_name", loc, "Node name cannot be empty")
    namespace = _named(entries, node, "namespace", loc, "Namespace cannot be empty")
    identifier = _named(entries, node, "identifier", loc, "Node identifier cannot be empty", reserved=STORE)
    inputs: dict[str, Any] | None = None
    if "inputs" not in node:
        entries.missing((*loc, "inputs"), node)
    else:
        inputs = entries.mapping(node["inputs"], (*loc, "inputs"))
    following = _next_nodes(entries, node.get("next_nodes"), (*loc, "next_nodes"))
    unites, times = _unites(entries, node.get("unites"), (*loc, "unites")), _times(entries, node, loc)
    if name is None or namespace is None or identifier is None or inputs is None:
        return None
    return Node(
        node_name=name,
        namespace=namespace,
        identifier=identifier,
        inputs=inputs,
        next_nodes=following,
        unites=unites,
        **times,
    )


def _named(
    entries: Entries, given: dict[str, Any], field: str, loc: Loc, empty: str, *, reserved: str = ""
) -> str | None:
    if field not in given:
        entries.missing((*loc, field), given)
        return None
    return entries.name(given[field], (*loc, field), empty, reserved=reserved)


def _next_nodes(entries: Entries, given: object, loc: Loc) -> list[str]:
    read = [] if given is None else entries.listed(given, loc) or []
    texts = [entries.text(each, (*loc, at)) for at, each in enumerate(read)]
    names = [text.strip() for text in texts if text is not None]
    wrongs: list[str] = []
    for at, name in enumerate(names):
        if not name:
            wrongs.append("Next node identifier cannot be empty")
        elif name in names[:at]:
            wrongs.append(f"Next node identifier {name} is not unique")
    if wrongs:
        entries.wrong(loc, "\n".join(wrongs), given)
    return names


def _unites(entries: Entries, given: object, loc: Loc) -> Unites | None:
    unites = None if given is None else entries.mapping(given, loc)
    if unites is None:
        return None
    if "identifier" not in unites:
        entries.missing((*loc, "identifier"), unites)
        return None
    name = entries.name(unites["identifier"], (*loc, "identifier"), "Unites identifier cannot be empty")
    strategy = entries.choice(unites.get("strategy", "ALL_SUCCESS"), (*loc, "strategy"), ["ALL_SUCCESS", "ALL_DONE"])
    if name is None or strategy is None:
        return None
    return Unites(identifier=name, strategy=cast("UnitesStrategy", strategy))


def _policy(entries: Entries, given: object) -> Policy:
    loc = (*_BODY, "retry_policy")
    policy = None if given is None else entries.mapping(given, loc)
    if policy is None:
        return Policy()
    said: dict[str, Any] = {}
    if "strategy" in policy:
        said["strategy"] = entries.choice(policy["strategy"], (*loc, "strategy"), STRATEGIES)
    for name, least in _NUMBERS:
        if name in policy and (policy[name] is not None or name != "max_delay"):
            said[name] = entries.integer(policy[name], (*loc, name), least=least)
    return Policy() if None in said.values() else Policy(**said)


def _store(entries: Entries, given: object) -> StoreConfig:
    loc = (*_BODY, "store_config")
    store = None if given is None else entries.mapping(given, loc)
    if store is None:
        return StoreConfig()
    required = _required_keys(entries, store.get("required_keys", []), (*loc, "required_keys"))
    values = _default_values(entries, store.get("default_values", {}), (*loc, "default_values"))
    return StoreConfig(required_keys=required, default_values=values)


def _required_keys(entries: Entries, given: object, loc: Loc) -> list[str]:
    texts = [entries.text(each, (*loc, at)) for at, each in enumerate(entries.listed(given, loc) or ())]
    return _keys(entries, [text for text in texts if text is not None], given, loc)


def _default_values(entries: Entries, given: object, loc: Loc) -> dict[str, str]:
    values = entries.texts(given, loc) or {}
    _keys(entries, list(values), given, loc)
    return {key.strip(): value for key, value in values.items()}


def _keys(entries: Entries, given: list[str], whole: object, loc: Loc) -> list[str]:
    """Keys of the store, trimmed."""
    keys = [key.strip() for key in given]
    if wrongs := [wrong for at, key in enumerate(keys) if (wrong := _wrong_key(key, keys[:at]))]:
        entries.wrong(loc, "\n".join(wrongs), whole)
    return keys


def _wrong_key(key: str, before: list[str]) -> str | None:
    if not key:
        return "Key cannot be empty or contain only whitespace"
    if "." in key:
        return f"Key '{key}' cannot contain '.' character"
    return f"Key '{key}' is duplicated" if key in before else fault(key)


def _triggers(entries: Entries, given: object) -> list[Trigger]:
    """Those that differ, in order."""
    loc = (*_BODY, "triggers")
    listed = [] if given is None else entries.listed(given, loc) or []
    read = [crons.read(entries, each, (*loc, at)) for at, each in enumerate(listed)]
    return list({msgspec.json.encode(trigger): trigger for trigger in read if trigger is not None}.values())


def _times(entries: Entries, given: dict[str, Any], loc: Loc) -> dict[str, Any]:
    """`lease` and `timeout`, in seconds, where they are said."""
    return {
        name: entries.seconds(given[name], (*loc, name)) or msgspec.UNSET
        for name in ("lease", "timeout")
        if given.get(name) is not None
    }
