"""Projects: what sessions belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.fields import Free, Key, Name
from stoker.api.dialects.heat.noun import Noun
from stoker.api.dialects.heat.nouns import user

HIDDEN = frozenset({"_statics", "_logs", "_diagnostics"})
"""Titles of projects that no list shows."""


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    title: str
    description: str = ""
    icon: str = ""
    owner_id: int = 1
    default_session_template_id: int | None = None


NOUN = Noun(sort="heat.project", record=Record, title="project")


class ProjectChange(Struct, frozen=True, kw_only=True, rename="camel"):
    title: Name | UnsetType = UNSET
    description: Free | UnsetType | None = UNSET
    icon: Free | UnsetType | None = UNSET
    owner_id: Key | UnsetType | None = UNSET
    default_session_template_id: Key | UnsetType | None = UNSET


class NewProject(ProjectChange, frozen=True, kw_only=True, rename="camel"):
    title: Name


class DefaultTemplate(Struct, frozen=True, kw_only=True):
    """The session template that sessions of a project are made from, if they name none."""

    id: int
    name: str


class Project(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    hex_id: str
    title: str
    description: str
    icon: str
    owner_id: int
    owner: user.User | None
    default_session_template_id: int | None
    default_session_template: DefaultTemplate | None
    created_at: str


def kept(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What of a change is meant: 0 is no template, and what is null is as if it had never been given."""
    meant = dict(fields)
    if meant.get("default_session_template_id") == 0:
        meant["default_session_template_id"] = None
    for name, absent in (("description", ""), ("icon", ""), ("owner_id", 1)):
        if name in meant and meant[name] is None:
            meant[name] = absent
    return meant
