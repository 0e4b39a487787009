"""Options that many commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

_SERVER = Group("Which server", sort_key=10)
_STORE = Group("Which database", sort_key=10)
_COMMON = Group("Output", sort_key=11)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to answer."""

    output: Annotated[
        Literal["text", "json"],
        Parameter(name=("--output", "-o"), group=_COMMON, help="For people, or for programs: stable JSON."),
    ] = "text"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Where(Options):
    """Which server to ask, and how to answer."""

    url: Annotated[
        str | None,
        Parameter(group=_SERVER, help="Of the server; else STOKER_URL, else the one that uses the data folder."),
    ] = None
    token: Annotated[
        str | None, Parameter(group=_SERVER, help="Else STOKER_TOKEN, else the one in the data folder.")
    ] = None
    namespace: Annotated[str | None, Parameter(group=_SERVER, help="Else STOKER_NAMESPACE, else `default`.")] = None
    data: Annotated[
        Path | None, Parameter(group=_SERVER, help="The data folder; else STOKER_DATA, else ~/.stoker.")
    ] = None
    database_url: Annotated[
        str | None,
        Parameter(
            group=_SERVER,
            help="Without a server: a PostgreSQL database; else STOKER_DATABASE_URL, else SQLite in the data folder.",
        ),
    ] = None
    artifacts: Annotated[
        Path | None,
        Parameter(
            group=_SERVER, help="Without a server: its folder; else STOKER_ARTIFACTS, else one in the data folder."
        ),
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Store(Options):
    """Which database to look at, without a server, and how to answer."""

    data: Annotated[Path | None, Parameter(group=_STORE, help="The data folder; else STOKER_DATA, else ~/.stoker.")] = (
        None
    )
    database_url: Annotated[
        str | None,
        Parameter(
            group=_STORE, help="A PostgreSQL database; else STOKER_DATABASE_URL, else SQLite in the data folder."
        ),
    ] = None
    artifacts: Annotated[
        Path | None,
        Parameter(group=_STORE, help="The folder of artifacts; else STOKER_ARTIFACTS, else one in the data folder."),
    ] = None


TEXT = Options()
STORE = Store()
HERE = Where()
