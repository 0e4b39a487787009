"""What a runtime was told, merged: constructor keywords, then the command line, then the environment, then defaults.

Pure: the three sources are arguments. Nothing here is checked against files or servers.
"""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stoker.core.duration import SECOND, micros

GRACE = "25s"
CORE_API_URL = "http://localhost:5220"

HEAT = {
    "core_api_url": ("CORE_API_URL",),
    "session_token": ("HEAT_SESSION_TOKEN", "RuntimeSessionToken"),
    "runner_name": ("RunnerName",),
    "poll_interval": ("HEAT_POLL_INTERVAL",),
}
ASKS = ("core_api_url", "session_token", "runner_name")
"""What of that asks for a server that speaks HEAT."""
STOKER = {
    "stoker_url": ("STOKER_URL",),
    "stoker_token": ("STOKER_TOKEN",),
    "stoker_namespace": ("STOKER_NAMESPACE",),
    "runner_tag": ("HEAT_RUNNER_TAG",),
    "shutdown_grace": ("HEAT_SHUTDOWN_GRACE",),
}
CLUSTER = "KUBERNETES_SERVICE_HOST"
FLAGS = (
    "core_api_url",
    "runner_name",
    "poll_interval",
    "node",
    "stoker_url",
    "stoker_namespace",
    "runner_tag",
    "shutdown_grace",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`heat`: where the HTTP dialect of HEAT is asked for, as people write it (`CORE_API_URL`, `--core-api-url`).

    `node`: which node its debug mode is for. `cluster`: this is a cluster, though nothing says of which server. The
    last four are of the local mode: `inputs` are `KEY=PATH`, `folder` is where others lie.
    """

    heat: tuple[str, ...] = ()
    core_api_url: str = CORE_API_URL
    session_token: str | None = None
    runner_name: str | None = None
    poll_interval: str | float = 1.0
    node: int | str | None = None
    cluster: bool = False
    local: bool = False
    stoker_url: str | None = None
    stoker_token: str | None = None
    stoker_namespace: str | None = None
    runner_tag: str | None = None
    shutdown_grace: str | float = GRACE
    inputs: tuple[str, ...] = ()
    folder: str | None = None
    config: str | None = None
    template: str | None = None


def merged(keywords: Mapping[str, Any], argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings. `argv`: without the program's name; what is not known there is left alone.

    Raises ValueError when HEAT_LOCAL is neither yes nor no.
    """
    line = _parsed(argv)
    found = {name: _first(name, names, keywords, line, environ) for name, names in STOKER.items()}
    found |= {name: _first(name, names, keywords, line, environ) for name, names in HEAT.items()}
    found["node"] = next((node for node in (keywords.get("node"), line.node) if node is not None), None)
    return Settings(
        heat=_asking(keywords, line, environ),
        cluster=bool(environ.get(CLUSTER)),
        local=_local(keywords, environ),
        inputs=tuple(line.input or ()),
        folder=line.inputs,
        config=line.config,
        template=line.template,
        **{name: value for name, value in found.items() if value is not None},
    )


def _parsed(argv: Sequence[str]) -> Namespace:
    """Take our options. None of them ends the program: it may have options of these names of its own."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False, usage=SUPPRESS)
    for name in FLAGS:
        parser.add_argument(_flag(name), nargs="?", const="")
    parser.add_argument("--input", action="append", nargs="?", const="")
    for name in ("inputs", "config", "template"):
        parser.add_argument(_flag(name), nargs="?", const="")
    return parser.parse_known_args(argv)[0]


def _first(
    name: str, variables: Sequence[str], keywords: Mapping[str, Any], line: Namespace, environ: Mapping[str, str]
) -> Any:
    given = [keywords.get(name), getattr(line, name, None), *map(environ.get, variables)]
    return next((value for value in given if value not in (None, "")), None)


def _asking(keywords: Mapping[str, Any], line: Namespace, environ: Mapping[str, str]) -> tuple[str, ...]:
    given = [f"{name}=" for name in ASKS if keywords.get(name) not in (None, "")]
    flags = [_flag(name) for name in ASKS if getattr(line, name, None) is not None]
    variables = [variable for name in ASKS for variable in HEAT[name] if environ.get(variable)]
    return (*given, *flags, *variables)


def _local(keywords: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    if keywords.get("local") is not None:
        return bool(keywords["local"])
    text = environ.get("HEAT_LOCAL", "").strip().lower()
    if text in {"", "0", "false", "no"}:
        return False
    if text in {"1", "true", "yes"}:
        return True
    raise ValueError(f"HEAT_LOCAL={text!r} is neither yes nor no. Set it to 1 to run without a server, or unset it.")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def seconds(given: str | float) -> float:
    """A number of seconds, or a duration like `25s`. ValueError if it is neither."""
    try:
        return float(given)
    except ValueError:
        return micros(given) / SECOND
