"""What a graph is, as values: nodes, how they fire, and what their inputs are bound to.

This is also the JSON form in which a graph is pushed to a server (`docs/reference/graph.md`). Nothing here checks or
decides: `compile.py` turns a `GraphSpec` into a `Compiled` one and reports every problem at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Path = tuple[str | int, ...]
Duration = str | float  # "2s", "5m", or seconds

ITEM_KIND = "stoker.item"
"""The inline kind whose task settles with the element that made it."""
WAIT_KIND = "stoker.wait"
"""The kind whose task the engine holds until somebody settles it (`Wait`)."""
LOOP_KIND = "stoker.loop"
"""The kind whose task the engine holds while its iterations go on (`Loop`)."""
SUBGRAPH_KIND = "stoker.subgraph"
"""The kind whose task the engine holds until a run of another graph has ended (`Subgraph`)."""

INPUT_KIND = "stoker.input"
"""The inline kind of an input of a live graph: it has no task, and settles with what is published."""


class _Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


# --- bindings: a small tree that says where an input comes from ---


class Value(_Spec, frozen=True, tag="value", tag_field="type"):
    """A literal."""

    value: Any


class Ref(_Spec, frozen=True, tag="ref", tag_field="type"):
    """An item of another node: the one on this branch, or (`many`) all below the join's anchor, in branch order.

    Where the task has no item, the consumer is skipped, unless there is a `default`, or null for one (`optional`).
    Where an item has nothing at the path, the consumer FAILS, saying what `says` says; or (`many`, `sparse`) null is
    among the others. `lone`: of a single item, the item and not a list of it. `boxed`: an item that is no object is
    taken for one, whose `value` it is.
    """

    node: str
    path: Path = ()
    many: bool = False
    optional: bool = False
    default: Any = msgspec.UNSET
    sparse: bool = False
    lone: bool = False
    boxed: bool = False
    says: str = ""

    @property
    def spared(self) -> Any:
        """What is bound where there is no item; UNSET: nothing is."""
        return None if self.optional and self.default is msgspec.UNSET else self.default


class Element(_Spec, frozen=True, tag="element", tag_field="type"):
    """The element of an expansion that this branch goes through: of the edge out of `of`, or of `of`'s own expand."""

    of: str
    path: Path = ()


class RunInput(_Spec, frozen=True, tag="run_input", tag_field="type"):
    """An input of the run, by name. Where it is null, what is bound is `otherwise`, or nothing at all (`optional`)."""

    name: str
    path: Path = ()
    otherwise: Binding | msgspec.UnsetType = msgspec.UNSET
    optional: bool = False


class Store(_Spec, frozen=True, tag="store", tag_field="type"):
    """A value of the run's store, by its key."""

    name: str
    path: Path = ()


class Splice(_Spec, frozen=True, tag="splice", tag_field="type"):
    """In a join: one list of what several references gather, in branch order."""

    of: tuple[Ref, ...]


class Text(_Spec, frozen=True, tag="text", tag_field="type"):
    """Its parts, one after the other: a text as it is, any other value as compact JSON. `parsed`: then read as JSON."""

    parts: tuple[Binding, ...]
    parsed: bool = False


class ListOf(_Spec, frozen=True, tag="list", tag_field="type"):
    items: tuple[Binding, ...]


class ObjectOf(_Spec, frozen=True, tag="object", tag_field="type"):
    fields: dict[str, Binding]


Binding = Value | Ref | Element | RunInput | Store | Splice | Text | ListOf | ObjectOf


# --- firing ---


class Edge(_Spec, frozen=True):
    """A way from another node. `expand`: each element found at this path of the item gives a child ([]: the item).

    `when`: a CEL expression over `item` (what arrives), `index` (of the element or item that the branch goes through
    last), `inputs` and `store` of the run; where it is false the edge carries nothing.
    """

    node: str
    expand: Path | None = None
    when: str | None = None


class Each(_Spec, frozen=True, tag="each", tag_field="type"):
    """One task per item (or expanded element) that arrives. `way` None: one task when the run is triggered.

    `ways`: several, each of which makes tasks: what lies behind runs once for each path that leads there.
    """

    way: Edge | None = None
    ways: tuple[Edge, ...] = ()


class Join(_Spec, frozen=True, tag="join", tag_field="type"):
    """One task per task of `anchor` (None: the trigger), when everything between the anchor and this node has settled.

    `of`: the nodes with an edge straight into the join. `when`: conditions on such edges, by where they come from.
    """

    anchor: str | None = None
    of: tuple[str, ...] = ()
    when: dict[str, str] = {}
    policy: Literal["all_success", "all_done"] = "all_success"


class OnChange(_Spec, frozen=True, tag="on_change", tag_field="type"):
    """In a live graph: a task when the current output of one of these nodes changes, or one settles for the first time.

    All must have settled once and one must have an output (`require_all`: each). Empty `of`: one task at the trigger.
    """

    of: tuple[str, ...] = ()
    require_all: bool = False


class Iteration(_Spec, frozen=True, tag="iteration", tag_field="type"):
    """One task for each iteration of a loop, whose item is the state that it begins with."""

    of: str


class Expand(_Spec, frozen=True):
    """A node's own expand: it fires once and makes one task per element of the list that `over` gives."""

    over: Binding


class Retry(_Spec, frozen=True):
    """When a failed attempt is tried again. `attempts` include the first; `cap` applies after jitter."""

    attempts: int = 3
    strategy: Literal["fixed", "linear", "exponential"] = "exponential"
    base: Duration = "2s"
    factor: float = 2.0
    cap: Duration | None = None
    jitter: Literal["none", "full", "equal"] = "none"


class Requirements(_Spec, frozen=True):
    """What a runner must offer: every label equal, every resource at least as large."""

    labels: dict[str, str] = {}
    resources: dict[str, float] = {}


class Limit(_Spec, frozen=True):
    """What all tasks with one key share, in every graph of the namespace: `most` run at once, `rate` start per time.

    A rate is a text like `"5/s"`, `"100/min"` or `"1000/h"`. `by`: the name of an input, and a path in its value: each
    value has a limit of its own.
    """

    key: str
    most: int | None = None
    rate: str | None = None
    by: Path = ()


class Wait(_Spec, frozen=True):
    """What a wait asks for: a value that fits the `schema`, before it `expires`; then it FAILS or takes the default."""

    schema: dict[str, Any] = {}
    expires: Duration | None = None
    default: Any = msgspec.UNSET


class Subgraph(_Spec, frozen=True):
    """The graph that a task runs as a child run. A push fills in the newest `version`."""

    graph: str
    version: int | None = None


class Loop(_Spec, frozen=True):
    """What a loop repeats ends at the join `next`, whose input `state` is the next state.

    One of the conditions (CEL over `item`, the next state, and `index`, the iteration) says whether it goes on.
    """

    next: str
    until: str | None = None
    while_: str | None = msgspec.field(default=None, name="while")
    max_iterations: int = 1_000


class NodeSpec(_Spec, frozen=True):
    """`retry` to `losses_are_failures`: None leaves it to the graph's `defaults`.

    `namespace`: of its kind, in which its tasks are offered; None: that of the graph.
    `lease`: how long runners that do not beat have for an attempt; then it is lost. Beats keep the others' leases.
    """

    name: str
    kind: str
    namespace: str | None = None
    fire: Each | Join | OnChange | Iteration = Each()
    bind: dict[str, Binding] = {}
    expand: Expand | None = None
    retry: Retry | None = None
    timeout: Duration | None = None
    task_timeout: Duration | None = None
    queue_timeout: Duration | None = None
    lease: Duration | None = None
    max_losses: int | None = None
    losses_are_failures: bool | None = None
    priority: int = 5
    requires: Requirements = Requirements()
    tolerated: bool = False
    limit: Limit | None = None
    wait: Wait | None = None
    subgraph: Subgraph | None = None
    loop: Loop | None = None


class InputSpec(_Spec, frozen=True):
    """An input of the graph, or a key of its store: its JSON Schema, and a default if it may be left out."""

    schema: dict[str, Any] = {}
    required: bool = True
    default: Any = None


class Defaults(_Spec, frozen=True):
    """What goes for every node of a graph that does not say it itself."""

    retry: Retry | None = None
    timeout: Duration | None = None
    task_timeout: Duration | None = None
    queue_timeout: Duration | None = None
    lease: Duration | None = None
    max_losses: int | None = None
    losses_are_failures: bool | None = None


class GraphSpec(_Spec, frozen=True):
    """`mode` live: nodes fire anew whenever what they come after changes, until the run is cancelled.

    `store`: keys of the run's store that nodes are bound to. A trigger may give others too. `faults`: what is wrong
    with it. Such a version may have no nodes; it can be pushed and looked at, and no run of it is started.
    """

    name: str
    nodes: tuple[NodeSpec, ...]
    mode: Literal["once", "live"] = "once"
    inputs: dict[str, InputSpec] = {}
    store: dict[str, InputSpec] = {}
    result: Binding | None = None
    description: str = ""
    defaults: Defaults = Defaults()
    on_failure: Literal["continue", "stop"] = "continue"
    faults: tuple[str, ...] = ()


class KindSpec(_Spec, frozen=True):
    """A registered sort of work. `items`: whether a task settles with exactly one item or with several.

    `max_attempts`: what a task may need of them in all; None: as many as it takes. `lease`: as of nodes that say none.
    `namespace`: set where a version of a graph in another namespace keeps it. `loose`: nothing that it gives is held
    against `output`.
    """

    name: str
    input: dict[str, Any] = {}
    output: dict[str, Any] = {}
    items: Literal["one", "many"] = "one"
    secrets: tuple[str, ...] = ()
    source_hash: str = ""
    description: str = ""
    max_attempts: Annotated[int, msgspec.Meta(ge=1)] | None = None
    lease: Duration | None = None
    namespace: str | None = None
    loose: bool = False
