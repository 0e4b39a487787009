"""Runner types: the containers that run node templates."""

from __future__ import annotations

import re

from msgspec import UNSET, Struct, UnsetType

from stoker.api.dialects.heat.fields import Free, Name
from stoker.api.dialects.heat.noun import Noun

_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?")


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    container_image: str
    cpu_limit: str = ""
    memory_limit: str = ""
    description: str = ""
    enabled: bool = True
    feature_internal_name: str = ""


NOUN = Noun(sort="heat.runnertype", record=Record, title="runner type")


class RunnerTypeChange(Struct, frozen=True, kw_only=True, rename="camel"):
    name: Name | UnsetType = UNSET
    container_image: Free | UnsetType = UNSET
    cpu_limit: Free | UnsetType | None = UNSET
    memory_limit: Free | UnsetType | None = UNSET
    description: Free | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    feature_internal_name: Name | UnsetType = UNSET


class NewRunnerType(RunnerTypeChange, frozen=True, kw_only=True, rename="camel"):
    name: Name
    container_image: Free


class RunnerType(Struct, frozen=True, kw_only=True, rename="camel"):
    id: int
    name: str
    container_image: str
    cpu_limit: str
    memory_limit: str
    description: str
    created_at: str
    updated_at: str
    enabled: bool
    feature_internal_name: str


class RunnerTypeName(Struct, frozen=True, kw_only=True):
    id: int
    name: str


def fault(record: Record) -> str | None:
    """Why no container could be made of it."""
    for name, text in (("cpuLimit", record.cpu_limit), ("memoryLimit", record.memory_limit)):
        if text and not _QUANTITY.fullmatch(text):
            return f"{name} is no quantity like 1, 500m or 1Gi: {text[:60]!r}"
    return None
