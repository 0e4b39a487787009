"""The pytest plugin `stoker`: fixtures, so that a conftest needs nothing. Light to load; what a test asks for is not.

* `stoker_world`: a world in virtual time. `@pytest.mark.stoker(seed=7, runners=2)` passes options to `simulate`;
  `--stoker-seed` has another seed for all. A test that fails tells its seed and what happened in the world.
* `stoker_server`: a whole server in this process, for the session; `stoker_server.client` is a client of it.
* `stoker_runner`: call it with nodes or graphs: a runner of that server, until the test ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stoker.runner.runner import Runner
    from stoker.testing.installed import Installed
    from stoker.testing.world import World

LAST_LINES = 40
_WORLD = pytest.StashKey["World"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("stoker").addoption(
        "--stoker-seed", type=int, default=None, help="the seed of every `stoker_world`, whatever its test says"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stoker(**options): options of `stoker_world`, as of stoker.testing.simulate")


@pytest.fixture
def stoker_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A server and runners in virtual time, by the dice of one seed."""
    from stoker.testing.world import simulate

    mark = request.node.get_closest_marker("stoker")
    options: dict[str, Any] = dict(mark.kwargs) if mark else {}
    if (seed := request.config.getoption("--stoker-seed")) is not None:
        options["seed"] = seed
    with simulate(**options) as world:
        request.node.stash[_WORLD] = world
        yield world


@pytest.fixture(scope="session")
def stoker_server() -> Iterator[Installed]:
    """A server inside of this process, and a client of it."""
    from stoker.testing.installed import installed

    with installed() as server:
        yield server


@pytest.fixture
def stoker_runner(stoker_server: Installed) -> Iterator[Callable[..., Runner]]:
    """Start runners of `stoker_server` in this process; options are those of `stoker.Runner`."""
    with ExitStack() as stack:

        def start(*nodes: Any, **options: Any) -> Runner:
            return stack.enter_context(stoker_server.runner(*nodes, **options))

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Say how to repeat a test that failed, and what happened in its world."""
    report = yield
    world = item.stash.get(_WORLD, None)
    if report.failed and world is not None and report.when == "call":
        report.sections.append(("stoker world", _told(world)))
    return report


def _told(world: World) -> str:
    history = world.history()
    left_out = [f"… {len(history) - LAST_LINES} lines before"] if len(history) > LAST_LINES else []
    return "\n".join([f"{world!r}; repeat it with --stoker-seed {world.seed}", *left_out, *history[-LAST_LINES:]])
