"""Settings: a flag, else `STOKER_*` in the environment, else `stoker.toml`, else the default. And two small files.

Only the standard library: the supervisor and the command line load this before anything else.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from stoker.errors import Conflict, Invalid, Unavailable

DIALECTS: tuple[str, ...] = ()
"""The dialects that exist in this version."""

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
    keep: str = ""
    metrics: str = "off"
    log_format: Literal["text", "json"] = "text"
    access_log: bool = False


@dataclass(frozen=True, slots=True)
class ServerFile:
    """`<data>/server.json`: the server that uses this data folder."""

    url: str
    pid: int


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
    values = {key: _parse(key, value, source) for key, (value, source) in given.items()}
    values.setdefault("data", Path("~/.stoker").expanduser())
    return Settings(**values)


def as_environment(settings: Settings) -> dict[str, str]:
    """The settings as another process of ours is told them; see `handed_on`."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {
        _PREFIX + key.upper(): ",".join(value) if isinstance(value, tuple) else str(value)
        for key, value in values.items()
        if value is not None and value != "" and value != ()
    }


def handed_on(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of the process that started this one: its environment alone, no file."""
    given = _from_environment(os.environ if environment is None else environment)
    values = {key: _parse(key, value, source) for key, (value, source) in given.items()}
    values.setdefault("data", Path("~/.stoker").expanduser())
    return Settings(**values)


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
    for key in content:
        if key not in _PARSERS:
            known = ", ".join(_PARSERS)
            raise Invalid(f"{path} sets {key!r}, which is no setting", place=str(path), remedy=f"Settings: {known}.")
    for key in ("data", "artifacts", "secret_key_file"):
        if isinstance(content.get(key), str):
            content[key] = str(path.parent / Path(content[key]).expanduser())
    return {key: (value, str(path)) for key, value in content.items()}


def _from_environment(environment: Mapping[str, str]) -> Given:
    names = {key: _PREFIX + key.upper() for key in _PARSERS}
    return {key: (environment[name], name) for key, name in names.items() if environment.get(name)}


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


# --- values ---


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


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or any(character < " " for character in value):
        raise ValueError(f"{value!r} is no text; Give one without control characters.")
    return value


def _port(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text) > 65_535:
        raise ValueError(f"{value!r} is no port; Give a number from 0 (any free port) to 65535.")
    return int(text)


def _days(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text) > 36_500:
        raise ValueError(f"{value!r} is no number of days; Give one from 1 to 36500, or 0 for ever.")
    return int(text)


def _flag_value(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false; Write one of the two.")
    return text == "true"


def _folder(value: Any) -> Path:
    return Path(value if isinstance(value, Path) else _text(value)).expanduser().absolute()


def _url(value: Any) -> str:
    text = _text(value)
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{text!r} is no URL; Give one like http://127.0.0.1:5220.")
    return text.rstrip("/")


def _database_url(value: Any) -> str:
    """A URL of PostgreSQL. What is refused is never shown: there may be a password in it."""
    if not isinstance(value, str) or not value or any(character <= " " for character in value):
        raise ValueError(f"that is no URL; {_LIKE}")
    scheme, _, rest = value.partition("://")
    if scheme.partition(":")[0] == "sqlite":
        raise ValueError("the SQLite file always lies in the data folder; Leave it out, and name the folder by `data`.")
    if scheme not in ("postgresql", "postgres") or not rest:
        what = f"a URL with {scheme!r}" if rest and scheme.isalnum() else "that"
        raise ValueError(f"{what} is no address of a PostgreSQL database; {_LIKE}")
    if not _readable(value):
        raise ValueError(f"its parts cannot be told apart; {_LIKE} {_ESCAPE}")
    pooled = dict(parse_qsl(urlsplit(value).query, keep_blank_values=True)).get("pgbouncer", "false")
    if pooled.lower() not in ("true", "false"):
        raise ValueError(f"pgbouncer={pooled} is neither true nor false; Write `?pgbouncer=true`, or leave it out.")
    return value


_LIKE = "Give one like postgresql://user:password@host:5432/name."
_ESCAPE = "Special characters of a password are written by their numbers: / is %2F, # is %23, ? is %3F, @ is %40."


def _readable(url: str) -> bool:
    """Whether its parts stand where they belong; a password with a bare `/`, `#` or `?` tears the URL apart there."""
    try:
        parts = urlsplit(url)
        parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        return False
    return not parts.fragment and "@" not in parts.path and parts.netloc.count("@") <= 1


def _path_prefix(value: Any) -> str:
    text = "" if value == "" else _text(value).rstrip("/")
    if text and (not text.startswith("/") or "//" in text or any(mark in text for mark in "?#{} ")):
        raise ValueError(f"{value!r} is no path prefix; Give one like /stoker.")
    return text


def _dialects(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]
    named = tuple(part.strip() for part in map(_text, parts) if part.strip())
    for name in named:
        if name not in DIALECTS:
            exist = ", ".join(DIALECTS) or "none yet"
            raise ValueError(f"there is no dialect {name!r}; Dialects that exist: {exist}.")
    return named


def _secret_keys(value: Any) -> tuple[str, ...]:
    """Keys with commas between. What is refused is never shown."""
    texts = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]
    keys = tuple(text.strip() if isinstance(text, str) else "" for text in texts)
    for text in keys:
        secret_key(text)
    return keys


def _keep(value: Any) -> str:
    """As text, whether it is a TOML table or text; what it means is seen where it is used."""
    if isinstance(value, dict):
        value = ",".join(f"{word}={given}" for word, given in value.items())
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else [""]
    if not all(part.partition("=")[0] and part.partition("=")[2] for part in parts):
        raise ValueError(f"{value!r} says nothing about what to keep; Give something like age=30d,count=1000.")
    return ",".join(parts)


def _one_of(*words: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is none of its words; Say {', '.join(words[:-1])} or {words[-1]}.")
        return str(value)

    return parse


def _switch(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false; Say one of them.")
    return str(value).lower() == "true"


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "host": _text,
    "port": _port,
    "data": _folder,
    "artifacts": _folder,
    "database_url": _database_url,
    "token": _text,
    "secret_key": _secret_keys,
    "secret_key_file": _folder,
    "namespace": _text,
    "url": _url,
    "path_prefix": _path_prefix,
    "audit_days": _days,
    "audit_triggers": _flag_value,
    "dialects": _dialects,
    "keep": _keep,
    "metrics": _one_of("off", "token", "public"),
    "log_format": _one_of("text", "json"),
    "access_log": _switch,
}
assert set(_PARSERS) == {field.name for field in fields(Settings)}


# --- keys of secrets ---


def secret_key(text: str) -> bytes:
    """The key that a text stands for. ValueError, which does not show it, if it is none."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("that is no key, which is 32 bytes in base64; Make one with `stoker server key`.")
    return key


def new_secret_key() -> str:
    """A key, as settings and files have it."""
    import secrets

    return base64.b64encode(secrets.token_bytes(32)).decode()


def new_secret_key_file(path: Path) -> None:
    """Put a key into a new file, for its owner alone. Conflict if there is one."""
    key = new_secret_key() + "\n"
    _create(path, key)
    if _read(path) != key:
        raise Conflict(
            f"there is a file {path}, and it may be the key of secrets.",
            code="secret_key",
            place=str(path),
            remedy="Name another file. To rotate keys, put a new one (`stoker server key`) on its first line.",
        )


def secret_keys_in(path: Path) -> list[bytes]:
    """The keys in a file, one a line; the first one writes."""
    content = _read(path)
    lines = [line for line in (content or "").splitlines() if line.strip() and not line.startswith("#")]
    try:
        keys = [secret_key(line.strip()) for line in lines]
    except ValueError:
        keys = []
    if not keys:
        what = "there is no file" if content is None else "there is no key, or something else, in"
        raise Invalid(
            f"{what} {path}; keys of secrets are read from it, one a line, each 32 bytes in base64.",
            code="secret_key",
            place="secret_key_file",
            remedy=f"Make one with `stoker server key --file {path}`, or restore it from a copy.",
        )
    return keys


# --- the two files that clients on the same machine read ---


def data_token(data: Path) -> str:
    """The token in `<data>/token`, made (readable by its owner alone) if there is none."""
    path = data / "token"
    found = _read(path)
    if found is None:
        _create(path, _new_token() + "\n")
        found = _read(path)
    if not found or not found.strip():
        raise Invalid(f"{path} is empty", place=str(path), remedy="Delete it; a new one is made.")
    return found.strip()


def write_server_file(data: Path, url: str, pid: int) -> None:
    _replace(data / "server.json", json.dumps({"url": url, "pid": pid}) + "\n")


def remove_server_file(data: Path) -> None:
    (data / "server.json").unlink(missing_ok=True)


def read_server_file(data: Path) -> ServerFile | None:
    """The server that says it uses this folder, if its process is alive."""
    try:
        content = json.loads(_read(data / "server.json") or "null")
        found = ServerFile(url=str(content["url"]), pid=int(content["pid"]))
    except (TypeError, KeyError, ValueError):
        return None
    return found if _alive(found.pid) else None


def _new_token() -> str:
    import secrets

    return "stk_" + secrets.token_urlsafe(32)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _io(path, error) from None


def _create(path: Path, content: str) -> None:
    """Write a file whole unless it exists: who comes second finds the first one's."""
    _with_temporary(path, content, path.hardlink_to)


def _replace(path: Path, content: str) -> None:
    _with_temporary(path, content, lambda temporary: temporary.replace(path))


def _with_temporary(path: Path, content: str, publish: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                publish(temporary)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _io(path, error) from None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False  # to `kill`, these are groups of processes
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _io(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{path} cannot be read or written: {error.strerror}",
        place=str(path),
        remedy="Make the folder writable, or name another with --data.",
    )
