"""Scenario instances: what of a session was played, and when."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field

from stoker.api.dialects.heat.fields import Free, Guid, Moment
from stoker.api.dialects.heat.noun import Noun


class Record(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept; its name is the GUID that it is shown with. `scenario_instance_id`: the one from elsewhere."""

    scenario_instance_id: str
    simulation_id: str = ""
    scenario_name: str = ""
    from_: str | None = field(name="from", default=None)
    to: str | None = None


NOUN = Noun(sort="heat.scenario", record=Record, title="scenario instance")


class ScenarioInstanceChange(Struct, frozen=True, kw_only=True, rename="camel"):
    simulation_id: Free | UnsetType | None = UNSET
    scenario_name: Free | UnsetType | None = UNSET
    from_: Moment | UnsetType | None = field(name="from", default=UNSET)
    to: Moment | UnsetType | None = UNSET


class NewScenarioInstance(ScenarioInstanceChange, frozen=True, kw_only=True, rename="camel"):
    scenario_instance_id: Guid | UnsetType | None = UNSET


class ScenarioInstance(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    simulation_id: str
    session_id: str
    scenario_name: str
    scenario_instance_id: str
    from_: str | None = field(name="from")
    to: str | None
