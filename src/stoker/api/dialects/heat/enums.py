"""HEAT's numbers, and the names that are accepted in their place. On the wire they are always numbers."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar


class DataSourceType(IntEnum):
    """Where blobs lie. S3 and AzureBlob alone can be read and written by the clients."""

    CosmosDB = 0
    MSSQL = 1
    PostgreSQL = 2
    MongoDB = 3
    S3 = 4
    AzureBlob = 5


class UserType(IntEnum):
    SystemUser = 0
    ExternalUser = 1
    AnotherType = 2


class NodeTemplateType(IntEnum):
    """Input nodes are never claimed: what is uploaded to them is what they give."""

    Input = 0
    Transform = 1
    Processing = 2
    Aggregation = 3


class ValueType(IntEnum):
    """How the text of a configuration entry is read. Other numbers are kept, and read as String."""

    String = 0
    Integer = 1
    Number = 2
    Boolean = 3
    Json = 4


class OwnershipType(IntEnum):
    platform = 0
    customer = 1


E = TypeVar("E", bound=IntEnum)


def read(kind: type[E], value: object) -> E:
    """A number or a name, in any case, as what it means. ValueError, naming those that there are."""
    if isinstance(value, int) and not isinstance(value, bool) and value in [each.value for each in kind]:
        return kind(value)
    for each in kind:
        if isinstance(value, str) and each.name.lower() == value.lower():
            return each
    known = ", ".join(f"{each.value} ({each.name})" for each in kind)
    raise ValueError(f"{value!r} is none of {known}")
