"""Sessions: what is kept of them beside their run. A session's run has its nodes, tasks and outputs."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.fields import Free, Guid, JsonText, Key, Name
from stoker.api.dialects.heat.noun import Noun
from stoker.api.dialects.heat.nouns import project


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept; its name is the GUID of the session, which is the parent of all that belongs to it.

    `node_templates`: the ids of those that its nodes use. `configuration`: that of the session template
    when it began. `hidden`: deleted; the rest of it goes later.
    """

    project_id: int
    session_template_id: int
    node_templates: tuple[int, ...] = ()
    name: str = ""
    email: str | None = None
    simulation_name: str | None = None
    logo_url: str | None = None
    user_id: str | None = None
    metadata: str | None = None
    configuration: str | None = None
    hidden: bool = False


NOUN = Noun(sort="heat.session", record=Record, title="session")


class SessionChange(Struct, frozen=True, kw_only=True, rename="camel"):
    name: Name | UnsetType | None = UNSET
    email: Free | UnsetType | None = UNSET
    simulation_name: Free | UnsetType | None = UNSET
    logo_url: Free | UnsetType | None = UNSET
    user_id: Guid | UnsetType | None = UNSET
    metadata: JsonText | UnsetType | None = UNSET


class NewSession(SessionChange, frozen=True, kw_only=True, rename="camel"):
    session_template_id: Key | UnsetType | None = UNSET


class PlayedTemplate(Struct, frozen=True, kw_only=True):
    """The session template that a session was made of; its configuration is that of then."""

    id: int
    name: str
    description: str
    configuration: str


class Session(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    name: str
    email: str | None
    project_id: int
    project: project.Project | None
    session_template_id: int
    session_template: PlayedTemplate | None
    simulation_name: str | None
    logo_url: str | None
    user_id: str | None
    metadata: str | None
    scenarios: list[Any] = []
    dimensions: list[Any] = []
