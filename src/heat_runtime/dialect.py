"""What needs the HTTP dialect of HEAT, which this version does not speak: each says so, and says what to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from stoker.errors import Rejected

REMEDY = (
    "Name a Stoker server in STOKER_URL (such as http://127.0.0.1:5220) and unset the environment of HEAT, "
    "or set HEAT_LOCAL=1 to run without a server."
)


class NotServed(Rejected):
    """The HTTP dialect of HEAT was asked for."""

    code = "heat_dialect_not_served"


def not_served(asked: str, remedy: str = REMEDY) -> NotServed:
    return NotServed(
        f"{asked} needs the HEAT HTTP dialect, which this version of heat_runtime does not serve.", remedy=remedy
    )


def _refusing(call: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(_self: Any, *_args: Any, **_keywords: Any) -> NoReturn:
        raise not_served(f"HeatRuntime.{call}", f"With a Stoker server (STOKER_URL), {instead}.")

    refuse.__name__ = call.removesuffix("()")
    refuse.__doc__ = f"Refuse: with a Stoker server, {instead}."
    return refuse


RETURN = "what `process` returns is the output"
RAISE = "return from `process` to complete the task, raise to fail it"
INPUTS = "`process` is given every input that the graph binds"
ENVIRONMENT = "set what runners need in their environment, or bind it to the input `config`"


class Helpers:
    """The calls of HEAT that are not served here. They raise NotServed."""

    create_node_output = _refusing("create_node_output()", RETURN)
    upload_result = _refusing("upload_result()", RETURN)
    update_node_status = _refusing(
        "update_node_status()", "`self.task.progress(fraction, message)` tells how far it is"
    )
    complete_node = _refusing("complete_node()", RAISE)
    fail_node = _refusing("fail_node()", RAISE)
    fetch_latest_inputs = _refusing("fetch_latest_inputs()", INPUTS)
    fetch_all_inputs = _refusing("fetch_all_inputs()", INPUTS)
    get_platform_config = _refusing("get_platform_config()", ENVIRONMENT)
    set_platform_config = _refusing("set_platform_config()", ENVIRONMENT)
    load_env = _refusing("load_env()", ENVIRONMENT)
    session = _refusing("session()", "`self.task.run` names the run, and a run has no users")
    default_store = property(_refusing("default_store", "the server stores artifacts itself"))
