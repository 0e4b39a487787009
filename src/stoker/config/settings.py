"""Settings: a flag, else `STOKER_*` in the environment, else `stoker.toml`, else the default.

Only the standard library: the supervisor and the command line load this before anything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from stoker.config import values
from stoker.config.dialects import SECTIONS, Exosphere, Heat, named
from stoker.errors import Invalid

CONFIG_FILE = "stoker.toml"
_PREFIX = "STOKER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`token`, `namespace` and `url` are the client's; the rest is the server's, `data` both's.

    `database_url`: of PostgreSQL; None: SQLite in the data folder. `artifacts`: None: a folder in the data folder.
    `metrics`: who may read `/metrics`: nobody (and nothing is counted), tokens with the scope `metrics`, or everybody.
    `access_log`: a line for each request.
    `secret_key`: what secrets are encrypted under, the first one, and may be decrypted with, all of them;
    `secret_key_file`: the same, a key a line, behind those; None: `secret.key` in the data folder if it is there.
    `keep`: what is kept of runs that have ended, in namespaces without a rule of their own, as `age=30d,count=1000`.
    `audit_days`: how long rows of the audit log are kept, a year since that is what auditors ask for; 0: for ever.
    `audit_triggers`: whether calls that start runs have rows there too.
    `dialects`: the other protocols that are spoken; `exosphere` and `heat` are the settings of two of them.
    """

    host: str = "127.0.0.1"
    port: int = 5220
    data: Path = Path("~/.stoker")
    artifacts: Path | None = None
    database_url: str | None = None
    token: str | None = None
    secret_key: tuple[str, ...] = ()
    secret_key_file: Path | None = None
    namespace: str = "default"
    url: str | None = None
    path_prefix: str = ""
    audit_days: int = 365
    audit_triggers: bool = False
    dialects: tuple[str, ...] = ()
    exosphere: Exosphere = field(default_factory=Exosphere)
    heat: Heat = field(default_factory=Heat)
    keep: str = ""
    metrics: str = "off"
    log_format: Literal["text", "json"] = "text"
    access_log: bool = False


def load(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    config: Path | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings in force. `flags` that are None were not given. `config` must exist; `stoker.toml` in `folder` may.

    Invalid, naming key, source and remedy, for an unknown key or a bad value.
    """
    given = _from_file(config, folder or Path.cwd())
    given |= _from_environment(os.environ if environment is None else environment)
    given |= {key: (value, _flag(key)) for key, value in (flags or {}).items() if value is not None}
    return _checked(_of(given), given)


def as_environment(settings: Settings) -> dict[str, str]:
    """The settings as another process of ours is told them; see `handed_on`. What is as by default is left out."""
    return {
        _variable(key): (",".join(value) or "none") if isinstance(value, tuple) else str(value)
        for (key, value), (_, default) in zip(_flat(settings), _flat(Settings()), strict=True)
        if value is not None and value not in ("", default)
    }


def handed_on(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of the process that started this one: its environment alone, no file."""
    return _of(_from_environment(os.environ if environment is None else environment))


def _of(given: Given) -> Settings:
    parsed = {key: _parse(key, value, source) for key, (value, source) in given.items()}
    parsed.setdefault("data", Path("~/.stoker").expanduser())
    for name, (section, keys) in SECTIONS.items():
        parsed[name] = section(**{key: parsed.pop(f"{name}.{key}") for key in keys if f"{name}.{key}" in parsed})
    return Settings(**parsed)


def _checked(settings: Settings, given: Given) -> Settings:
    """Refuse what only looks wrong together."""
    local = settings.host in ("localhost", "::1") or settings.host.startswith("127.")
    if settings.heat.auth_mode == "Local" and not local:
        raise Invalid(
            f"heat.auth_mode: Local lets everybody in who can connect, and {settings.host!r} is no loopback address",
            place=given["heat.auth_mode"][1],
            remedy="Bind to 127.0.0.1, or say Strict.",
        )
    return settings


def _flat(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Every setting by its key; those of a section as `section.key`."""
    for name in (each.name for each in fields(settings)):
        value = getattr(settings, name)
        if name in SECTIONS:
            yield from ((f"{name}.{key}", getattr(value, key)) for key in SECTIONS[name][1])
        else:
            yield name, value


# --- sources ---

Given = dict[str, tuple[Any, str]]


def _from_file(config: Path | None, folder: Path) -> Given:
    import tomllib

    path = config or folder / CONFIG_FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is None:
            return {}
        raise Invalid(f"there is no file {config}", place="--config", remedy="Name one that exists.") from None
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be read: {error}", place=str(path), remedy="It must be TOML.") from None
    for section in SECTIONS.keys() & content.keys():
        if isinstance(content[section], dict):
            content |= {f"{section}.{key}": value for key, value in content.pop(section).items()}
    for key in content:
        if key not in _PARSERS:
            known = ", ".join(_PARSERS)
            raise Invalid(f"{path} sets {key!r}, which is no setting", place=str(path), remedy=f"Settings: {known}.")
    for key in ("data", "artifacts", "secret_key_file"):
        if isinstance(content.get(key), str):
            content[key] = str(path.parent / Path(content[key]).expanduser())
    return {key: (value, str(path)) for key, value in content.items()}


def _from_environment(environment: Mapping[str, str]) -> Given:
    names = {key: _variable(key) for key in _PARSERS}
    return {key: (environment[name], name) for key, name in names.items() if environment.get(name)}


def _variable(key: str) -> str:
    return _PREFIX + key.upper().replace(".", "_")


def _flag(key: str) -> str:
    return "--heat-auth" if key == "heat.auth_mode" else "--" + key.replace("_", "-")


def _parse(key: str, value: Any, source: str) -> Any:
    try:
        parse = _PARSERS[key]
    except KeyError:
        raise Invalid(f"{key!r} is no setting", place=source, remedy=f"Settings: {', '.join(_PARSERS)}.") from None
    try:
        return parse(value)
    except ValueError as error:
        message, _, remedy = str(error).partition("; ")
        raise Invalid(f"{key}: {message}", place=source, remedy=remedy) from None


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "host": values.text,
    "port": values.port,
    "data": values.folder,
    "artifacts": values.folder,
    "database_url": values.database_url,
    "token": values.text,
    "secret_key": values.secret_keys,
    "secret_key_file": values.folder,
    "namespace": values.text,
    "url": values.url,
    "path_prefix": values.path_prefix,
    "audit_days": values.days,
    "audit_triggers": values.switch,
    "dialects": named,
    "keep": values.keep,
    "metrics": values.one_of("off", "token", "public"),
    "log_format": values.one_of("text", "json"),
    "access_log": values.switch,
    **{f"{name}.{key}": parse for name, (_, keys) in SECTIONS.items() for key, parse in keys.items()},
}
assert set(_PARSERS) == {key for key, _ in _flat(Settings())}
