"""What a value of a setting may be. ValueError says what is wrong, and after `; ` the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stoker.config.keys import secret_key


def text(value: Any) -> str:
    if not isinstance(value, str) or not value or any(character < " " for character in value):
        raise ValueError(f"{value!r} is no text; Give one without control characters.")
    return value


def port(value: Any) -> int:
    said = str(value)
    if isinstance(value, bool) or not (said.isascii() and said.isdigit()) or int(said) > 65_535:
        raise ValueError(f"{value!r} is no port; Give a number from 0 (any free port) to 65535.")
    return int(said)


def days(value: Any) -> int:
    said = str(value)
    if isinstance(value, bool) or not (said.isascii() and said.isdigit()) or int(said) > 36_500:
        raise ValueError(f"{value!r} is no number of days; Give one from 1 to 36500, or 0 for ever.")
    return int(said)


def folder(value: Any) -> Path:
    return Path(value if isinstance(value, Path) else text(value)).expanduser().absolute()


def url(value: Any) -> str:
    said = text(value)
    if not said.startswith(("http://", "https://")):
        raise ValueError(f"{said!r} is no URL; Give one like http://127.0.0.1:5220.")
    return said.rstrip("/")


def database_url(value: Any) -> str:
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


def path_prefix(value: Any) -> str:
    said = "" if value == "" else text(value).rstrip("/")
    if said and (not said.startswith("/") or "//" in said or any(mark in said for mark in "?#{} ")):
        raise ValueError(f"{value!r} is no path prefix; Give one like /stoker.")
    return said


def secret_keys(value: Any) -> tuple[str, ...]:
    """Keys with commas between. What is refused is never shown."""
    keys = tuple(each.strip() if isinstance(each, str) else "" for each in parts(value))
    for key in keys:
        secret_key(key)
    return keys


def keep(value: Any) -> str:
    """As text, whether it is a TOML table or text; what it means is seen where it is used."""
    if isinstance(value, dict):
        value = ",".join(f"{word}={given}" for word, given in value.items())
    said = [part.strip() for part in value.split(",")] if isinstance(value, str) else [""]
    if not all(part.partition("=")[0] and part.partition("=")[2] for part in said):
        raise ValueError(f"{value!r} says nothing about what to keep; Give something like age=30d,count=1000.")
    return ",".join(said)


def one_of(*words: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is none of its words; Say {', '.join(words[:-1])} or {words[-1]}.")
        return str(value)

    return parse


def switch(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false; Say one of them.")
    return str(value).lower() == "true"


def parts(value: Any) -> list[Any]:
    """A list, or text with commas between."""
    return value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]


def number(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        said = str(value)
        if isinstance(value, bool) or not (said.isascii() and said.isdigit()) or not least <= int(said) <= most:
            raise ValueError(f"{value!r} is no number for this; Give one from {least} to {most}.")
        return int(said)

    return parse


def seconds(least: float, most: float) -> Callable[[Any], float]:
    """A number of seconds, or text like `90s`, `15m` or `2h`."""

    def parse(value: Any) -> float:
        said = str(value).strip()
        unit = _UNITS.get(said[-1:], 0.0)
        try:
            found = float(said[:-1]) * unit if unit else float(said)
        except ValueError:
            found = -1.0
        if isinstance(value, bool) or not least <= found <= most:
            raise ValueError(f"{value!r} is no duration for this; Give one from {least:g}s to {most:g}s, like 90s.")
        return found

    return parse


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
