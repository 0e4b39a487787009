"""Nodes as users write them, at the top of a module so that another process finds them."""

import os

import pydantic

from stoker.authoring.file import File
from stoker.authoring.function import node
from stoker.authoring.graphs import graph
from stoker.authoring.items import Items
from stoker.authoring.model import Node
from stoker.authoring.task import Task, current_task


@node
def split(text: str) -> Items[str]:
    return Items(text.split())


@node(isolation=True)
def shout(word: str, task: Task) -> dict[str, int | str]:
    print("shouting", word)
    assert current_task() is task
    return {"word": word.upper(), "process": os.getpid()}


@node
async def keep(text: str, task: Task) -> File:
    path = task.scratch / "kept.txt"
    path.write_text(text)
    return File(path)


class Length(Node, isolation=True):
    class Inputs(pydantic.BaseModel):
        source: File

    class Outputs(pydantic.BaseModel):
        length: int

    async def execute(self) -> Outputs:
        return self.Outputs(length=len(self.inputs.source.read_text()))


@graph
def pipeline(text: str) -> object:
    return keep(text)
