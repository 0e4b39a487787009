"""The table of roles and routes in the documentation is drawn from the routes."""

from __future__ import annotations

from stoker.api.routes import ROUTES
from stoker.core.roles import BUILT_IN, SCOPES

from .pages import ROOT

PAGE = (ROOT / "docs" / "reference" / "roles.md").read_text()


def drawn() -> list[str]:
    """The table, a line for each route that needs a token."""
    lines = [f"| route | scopes | {' | '.join(BUILT_IN)} |", "|---" * (2 + len(BUILT_IN)) + "|"]
    for route in ROUTES:
        if not route.public:
            opens = [{"admin", *route.scopes} & {*scopes} for scopes in BUILT_IN.values()]
            scopes = " ".join(f"`{scope}`" for scope in SCOPES if scope in route.scopes)
            marks = " | ".join("✓" if one else "" for one in opens)
            lines.append(f"| `{route.method} {route.path}` | {scopes} | {marks} |")
    return lines


def test_the_table_of_roles_and_routes_is_that_of_the_server() -> None:
    """What is drawn here goes into the page: `PYTHONPATH=tests python -m docs.test_roles`."""
    assert [line for line in PAGE.splitlines() if line.startswith(("| `", "| route", "|---|---|---|---|"))] == drawn()


def test_the_page_says_what_each_role_has() -> None:
    for name, scopes in BUILT_IN.items():
        assert f"| {name} | {', '.join(f'`{scope}`' for scope in scopes)} |" in PAGE


if __name__ == "__main__":
    print("\n".join(drawn()))
