"""Node templates as whatever names them shows them."""

from __future__ import annotations

from stoker.api.dialects.heat import shown
from stoker.api.dialects.heat.desk import Desk
from stoker.api.dialects.heat.nouns import feature, nodetemplate, runnertype
from stoker.api.dialects.heat.nouns.nodetemplate import NodeTemplate


async def views(desk: Desk) -> list[NodeTemplate]:
    """All node templates with what they refer to."""
    known = {each.name: shown.feature_(each) for each in await desk.all(feature.NOUN)}
    runners = {each.id: shown.runner_type(each) for each in await desk.all(runnertype.NOUN)}
    return [shown.node_template(each, known, runners) for each in await desk.all(nodetemplate.NOUN)]
