"""`stoker runs publish`, `fire` and `outputs`: what only live runs have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from stoker.cli import exits, numbers, terminal
from stoker.cli.failure import Usage
from stoker.cli.options import HERE, Where
from stoker.cli.reach import listed, reached

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stoker.core.views import LiveNodeView, OutputView

SHOWN = 60  # characters of a value in a table

_NOT_LIVE = ": it is not live; what it gives: stoker runs result {}"


def publish(
    id: str,  # noqa: A002
    node: str,
    value: str | None = None,
    /,
    *,
    name: str = "",
    status: str = "",
    failed: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    where: Where = HERE,
) -> int:
    """Make a value the current output of a node or input of a live run; what comes after it fires.

    Without a value: say that the node settled outside, well or (--failed) not.

    Parameters
    ----------
    id: str
        The run, such as 12.
    node: str
        The node or input.
    value: str
        JSON, @FILE with JSON, or else a text.
    name: str
        What the output is.
    status: str
        A text about the node.
    failed: bool
        It failed; there is no value then.
    """
    from stoker.core.views import PublishRequest

    number = numbers.id_of(id)
    with reached(where) as here:
        client = here.client
        if value is None:
            request = PublishRequest(name=name, status=status, failed=failed)
            output = client.call(client.api.publish(number, node, request))
        elif failed:
            raise Usage("what failed has no output", place="--failed", remedy="Leave out the value, or --failed.")
        else:
            output = client.call(client.publish(number, node, _value(value), name, status))
    if where.output == "json":
        terminal.document(output)
    elif output is None:
        terminal.say(f"{node!r} of run {number} settled")
    else:
        terminal.say(f"{node!r} of run {number} has output {output.id}")
    return exits.OK


def fire(id: str, node: str, /, *, where: Where = HERE) -> int:  # noqa: A002
    """Have a node of a live run run again with what is current.

    Parameters
    ----------
    id: str
        The run, such as 12.
    node: str
        The node.
    """
    number = numbers.id_of(id)
    with reached(where) as here:
        answer = here.client.call(here.client.api.fire(number, node))
    if where.output == "json":
        terminal.document(answer)
    elif answer.dirty:
        terminal.say(f"{node!r} is being run (task {answer.task}); it fires once more when that has settled")
    else:
        terminal.say(f"{node!r} is {answer.state}: task {answer.task}, generation {answer.generation}")
    return exits.OK


def outputs(
    id: str,  # noqa: A002
    /,
    *,
    node: str | None = None,
    current: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    limit: int = 20,
    after: str | None = None,
    where: Where = HERE,
) -> int:
    """List the outputs of a live run: by node, the newest first.

    Parameters
    ----------
    id: str
        The run, such as 12.
    node: str
        Only those of this node.
    current: bool
        Only the one of each node that others read.
    limit: int
        How many.
    after: str
        Where the last page ended, as it said.
    """
    number = numbers.id_of(id)
    with reached(where) as here:
        api = here.client.api
        page = listed(here, api.outputs(number, node=node, current=current, limit=limit, after=after))
        live = bool(page.items) or bool(here.client.call(api.run(number)).live)
    if where.output == "json":
        terminal.document(page)
        return exits.OK
    if not page.items:
        terminal.note(f"run {number} has no outputs{'' if live else _NOT_LIVE.format(number)}")
        return exits.OK
    rows = [[str(one.id), one.node, _standing(one), terminal.ago(one.created_at), _shown(one)] for one in page.items]
    terminal.table(["OUTPUT", "NODE", "", "GIVEN", "VALUE"], rows, grow="VALUE")
    if page.after:
        terminal.note(f"more: --after {page.after}")
    return exits.OK


def show(nodes: Sequence[LiveNodeView]) -> None:
    """The nodes of a live run as a table."""
    rows = [
        [one.node, one.state or "-", str(one.generation + 1), str(one.output or "-"), _remark(one)] for one in nodes
    ]
    terminal.table(["NODE", "STATE", "FIRED", "OUTPUT", ""], rows, grow="")


def _remark(node: LiveNodeView) -> str:
    return "; ".join(["dirty: fires once more"] * node.dirty + [text for text in (node.status, node.waits_for) if text])


def _value(text: str) -> Any:
    if text.startswith("@"):
        try:
            return json.loads(Path(text[1:]).read_bytes())
        except (OSError, ValueError) as error:
            raise Usage(f"{text[1:]} is no file with JSON: {error}", place="VALUE", remedy="Name one.") from None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _standing(output: OutputView) -> str:
    if output.current:
        return "current"
    return "" if output.counts else "of an attempt that has not completed"


def _shown(output: OutputView) -> str:
    text = bytes(output.value).decode() if output.value else f"{output.size} bytes"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
