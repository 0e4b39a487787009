"""Paths: the route is found by raw segments, and only then are they decoded."""

from __future__ import annotations

import pytest

from stoker.api.tree import Tree

GUID = "0b9c4a8e-55d2-4f0e-9a6d-2f4f3f1d7a10"
PATHS = (
    "/api/sessions/users/dimensions",
    "/api/sessions/{id:guid}/dimensions",
    "/api/sessions/dimensions/{n:int}",
    "/api/config/all",
    "/api/config/detail/{name}",
    "/api/config/{prefix}",
    "/api/x/{a}/end",
    "/api/x/fixed/{b}",
)


@pytest.fixture
def tree() -> Tree[str]:
    tree: Tree[str] = Tree()
    for path in PATHS:
        tree.add(path, path)
    return tree


@pytest.mark.parametrize(
    ("asked", "path", "given"),
    [
        ("/api/sessions/users/dimensions", PATHS[0], {}),
        (f"/api/sessions/{GUID}/dimensions", PATHS[1], {"id": GUID}),
        ("/api/sessions/dimensions/7", PATHS[2], {"n": "7"}),
        ("/api/config/all", PATHS[3], {}),
        ("/api/config/all/", PATHS[3], {}),
        ("/api/config/%61ll", PATHS[5], {"prefix": "all"}),
        ("/api/config/detail/a%20b%2Fc.d", PATHS[4], {"name": "a b/c.d"}),
        ("/api/config/%C3%A4\xc3\xa4", PATHS[5], {"prefix": "ää"}),
        ("/api/config/detail", PATHS[5], {"prefix": "detail"}),
        ("/api/x/fixed/end", PATHS[7], {"b": "end"}),
        ("/api/x/other/end", PATHS[6], {"a": "other"}),
    ],
)
def test_a_literal_goes_first_and_escapes_are_read_last(
    tree: Tree[str], asked: str, path: str, given: dict[str, str]
) -> None:
    assert tree.find(asked) == (path, given)


@pytest.mark.parametrize(
    "asked",
    [
        "/api/sessions/7/dimensions",
        f"/api/sessions/{GUID}0/dimensions",
        "/api/sessions/dimensions/x",
        "/api/sessions/dimensions/%31",
        "/api/config/%FF",
        "/api/config/a/b",
        "/api/config",
        "/api",
        "/",
        "/api/x/%2F/other",
    ],
)
def test_what_fits_nowhere_is_nowhere(tree: Tree[str], asked: str) -> None:
    assert tree.find(asked) is None


@pytest.mark.parametrize(
    ("asked", "path", "given"),
    [
        ("/v1/graphs/a/b c", "/v1/graphs/{name:rest}", {"name": "a/b c"}),
        ("/v1/graphs/a%2Fb", "/v1/graphs/{name:rest}", {"name": "a%2Fb"}),
        ("/v1/graphs/a/", "/v1/graphs/{name:rest}", {"name": "a/"}),
        ("/v1/graphs/a/runs", "/v1/graphs/{name}/runs", {"name": "a"}),
        ("/v1/graphs/a/b/runs", "/v1/graphs/{name:rest}", {"name": "a/b/runs"}),
    ],
)
def test_the_rest_of_a_decoded_path_is_taken_as_it_is_once_nothing_else_fits(
    asked: str, path: str, given: dict[str, str]
) -> None:
    tree: Tree[str] = Tree()
    for known in ("/v1/graphs/{name:rest}", "/v1/graphs/{name}/runs", "/v1/runs"):
        tree.add(known, known)
    assert tree.at(asked) == (path, given)
    assert tree.at("/v1/runs/") is None


def test_two_values_at_one_path_are_a_mistake(tree: Tree[str]) -> None:
    with pytest.raises(ValueError, match="declared twice"):
        tree.add("/api/config/{other}", "x")
