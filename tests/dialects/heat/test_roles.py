"""Which role a token has, and what each may not."""

from __future__ import annotations

import pytest

from stoker.api.dialects.heat import roles
from stoker.api.dialects.heat.roles import Role


@pytest.mark.parametrize(
    ("scopes", "role"),
    [
        (["admin"], Role.SYSTEM),
        (["read", "trigger", "run", "author"], Role.PRIVILEGED),
        (["read", "trigger", "author", "metrics"], Role.USER),
        (["read", "run"], Role.RUNNER),
        (["read"], Role.USER),
        ([], Role.USER),
    ],
)
def test_a_token_has_the_widest_role_that_its_scopes_cover(scopes: list[str], role: Role) -> None:
    assert roles.role_of(scopes) is role


@pytest.mark.parametrize(
    ("role", "name", "may"),
    [
        (Role.SYSTEM, "system.auth_mode", True),
        (Role.PRIVILEGED, "system.auth_mode", False),
        (Role.PRIVILEGED, "systematic.x", True),
        (Role.USER, "public_api_v1.x", False),
        (Role.RUNNER, "sum-csv.x", False),
    ],
)
def test_configuration_is_written_by(role: Role, name: str, may: bool) -> None:
    assert roles.may_write(role, name) is may


@pytest.mark.parametrize(
    ("role", "name", "may"),
    [
        (Role.PRIVILEGED, "system.auth_mode", True),
        (Role.USER, "system.auth_mode", False),
        (Role.USER, "public_api_v1.page", True),
        (Role.USER, "public_api_v2.page", False),
        (Role.USER, "frontend.facade", True),
        (Role.USER, "frontend.facades", False),
        (Role.RUNNER, "runner_config.default_store", True),
        (Role.RUNNER, "runner_config.other", False),
        (Role.RUNNER, "sum-csv.x", True),
        (Role.RUNNER, "sum-csv2.x", False),
    ],
)
def test_configuration_is_read_by(role: Role, name: str, may: bool) -> None:
    assert roles.may_read(role, name, runner="sum-csv") is may


def test_secrets_are_hidden_from_users_alone() -> None:
    assert roles.hides(Role.USER, "public_api_v1.ClientSecret")
    assert roles.hides(Role.USER, "public_api_v1.myConnectionString")
    assert not roles.hides(Role.USER, "public_api_v1.page")
    assert not roles.hides(Role.RUNNER, "sum-csv.secret")
