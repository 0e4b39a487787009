"""The registry of a program, and what `init` refuses before it runs anything."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import Any

import pytest

from heat_runtime import BaseProcessor, HeatRuntime, NotServed
from heat_runtime.registry import Registry, fresh


class Sum(BaseProcessor):
    TEMPLATE_NAME = "sum"

    async def process(self, inputs: dict[str, Any], config: dict[str, Any]) -> Any:
        return {}


class Rival(Sum):
    pass


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    own = Registry()
    monkeypatch.setattr(HeatRuntime, "_registry", own)
    return own


def test_a_class_is_registered_for_its_template_and_returned(registry: Registry) -> None:
    assert HeatRuntime.register(Sum) is Sum
    assert HeatRuntime.register(Sum) is Sum
    assert list(registry) == ["sum"]


def test_a_second_class_for_a_template_is_refused() -> None:
    HeatRuntime.register(Sum)
    with pytest.raises(ValueError, match="registered for the template 'sum' already"):
        HeatRuntime.register(Rival)


def test_an_unregistered_template_is_free_again() -> None:
    HeatRuntime.register(Sum)
    assert HeatRuntime.unregister("sum") is Sum
    assert HeatRuntime.register(Rival) is Rival
    with pytest.raises(ValueError, match=r"for the template 'gone'; registered: \['sum'\]"):
        HeatRuntime.unregister("gone")


@pytest.mark.parametrize("name", ["", None, "a\nb", "x" * 201])
def test_a_template_needs_a_usable_name(name: Any) -> None:
    with pytest.raises(ValueError, match="TEMPLATE_NAME"):
        HeatRuntime.register(type("Nameless", (Sum,), {"TEMPLATE_NAME": name}))


def test_a_processor_has_to_process() -> None:
    with pytest.raises(TypeError, match=r"has no process\(inputs, config\)"):
        HeatRuntime.register(type("Idle", (BaseProcessor,), {"TEMPLATE_NAME": "idle"}))


def test_every_task_gets_an_instance_of_its_own() -> None:
    assert isinstance(fresh(Sum), Sum)
    kept = Sum()
    assert HeatRuntime.register(kept) is kept
    one, other = fresh(kept), fresh(kept)
    assert len({id(kept), id(one), id(other)}) == 3


def test_init_without_processors_says_what_the_js_client_says() -> None:
    with pytest.raises(RuntimeError, match=r"^At least one processor must be registered before calling init\(\)$"):
        HeatRuntime().init()


@pytest.mark.parametrize("inputs", [{}, {"file": b""}, MappingProxyType({})])
def test_the_base_accepts_mappings_even_empty_ones(inputs: Any) -> None:
    assert asyncio.run(Sum().validate(inputs, {})) is None


def test_the_base_refuses_anything_else() -> None:
    with pytest.raises(TypeError, match="inputs is a mapping, not list"):
        asyncio.run(Sum().validate([], {}))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="config is a mapping, not str"):
        asyncio.run(Sum().validate({}, "{}"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("create_node_output", (1, "{}")), ("update_node_status", (1, 3)), ("complete_node", (None,)),
        ("fail_node", (None,)), ("upload_result", (1,)), ("fetch_latest_inputs", ()), ("fetch_all_inputs", ()),
        ("get_platform_config", ("p",)), ("set_platform_config", ("n", "v")), ("load_env", ()), ("session", ("s",)),
    ],
)  # fmt: skip
def test_the_calls_of_heat_are_refused_without_its_server(call: str, given: tuple[Any, ...]) -> None:
    with pytest.raises(NotServed, match=rf"HeatRuntime\.{call}\(\) needs a server that speaks HEAT.*CORE_API_URL"):
        getattr(HeatRuntime(), call)(*given)


def test_the_default_store_is_refused_too() -> None:
    with pytest.raises(NotServed, match=r"HeatRuntime\.default_store needs a server that speaks HEAT"):
        HeatRuntime().default_store
