"""Sessions: what is kept of them beside their run. A session's run has its nodes, tasks and outputs."""

from __future__ import annotations

from msgspec import Struct

from stoker.api.dialects.heat.noun import Noun


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept; its name is the GUID of the session, which is the parent of all that belongs to it.

    `node_templates`: the ids of those that its nodes use. `hidden`: deleted; the rest of it goes later.
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
    hidden: bool = False


NOUN = Noun(sort="heat.session", record=Record, title="session")
