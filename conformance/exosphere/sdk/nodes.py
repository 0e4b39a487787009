"""Nodes for the scenarios. Each notes in the file TRACE that it was executed: its name, then its inputs as JSON."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from exospherehost import BaseNode, PruneSignal, ReQueueAfterSignal
from pydantic import BaseModel

TRACE = Path(os.environ["TRACE"])


def note(node: BaseNode) -> int:
    """Note an execution; gives how often this node was executed with these inputs by now."""
    line = f"{type(node).__name__} {node.inputs.model_dump_json()}\n"
    with TRACE.open("a") as trace:
        trace.write(f"{time.time_ns()} {line}")
    return sum(each.partition(" ")[2] == line for each in TRACE.read_text().splitlines(keepends=True))


class MyNode(BaseNode):
    """The sample of the vendor's guide."""

    class Inputs(BaseModel):
        data: str

    class Outputs(BaseModel):
        result: str

    class Secrets(BaseModel):
        pass

    async def execute(self) -> Outputs:
        return self.Outputs(result=f"Processed: {self.inputs.data}")


class Split(BaseNode):
    class Inputs(BaseModel):
        count: str

    class Outputs(BaseModel):
        chunk: str

    async def execute(self) -> list[Outputs]:
        note(self)
        return [self.Outputs(chunk=f"c{number}") for number in range(int(self.inputs.count))]


class Process(BaseNode):
    """The first chunks take longest, so that they end in another order than they began."""

    class Inputs(BaseModel):
        chunk: str

    class Outputs(BaseModel):
        result: str

    async def execute(self) -> Outputs:
        note(self)
        await asyncio.sleep(0.02 * (3 - int(self.inputs.chunk[1:]) % 4))
        return self.Outputs(result=f"r{self.inputs.chunk[1:]}")


class Merge(BaseNode):
    class Inputs(BaseModel):
        results: str

    class Outputs(BaseModel):
        merged: str

    async def execute(self) -> Outputs:
        note(self)
        return self.Outputs(merged=self.inputs.results)


class Nothing(BaseNode):
    async def execute(self) -> None:
        note(self)


class Fail(BaseNode):
    class Inputs(BaseModel):
        message: str

    async def execute(self) -> None:
        note(self)
        raise RuntimeError(self.inputs.message)


class Pruned(BaseNode):
    class Inputs(BaseModel):
        why: str

    async def execute(self) -> None:
        note(self)
        raise PruneSignal({"why": self.inputs.why, "deep": {"numbers": [1, 2.5, None]}})


class Later(BaseNode):
    """Goes back into the queue once."""

    class Inputs(BaseModel):
        ms: str

    class Outputs(BaseModel):
        times: str

    async def execute(self) -> Outputs:
        times = note(self)
        if times == 1:
            raise ReQueueAfterSignal(timedelta(milliseconds=int(self.inputs.ms)))
        return self.Outputs(times=str(times))


class Secretive(BaseNode):
    class Outputs(BaseModel):
        backwards: str

    class Secrets(BaseModel):
        token: str

    async def execute(self) -> Outputs:
        note(self)
        return self.Outputs(backwards=f"{self.secrets.token[::-1]} {sorted(self.secrets.model_dump())}")


class Slow(BaseNode):
    class Inputs(BaseModel):
        seconds: str
        name: str

    class Outputs(BaseModel):
        name: str

    async def execute(self) -> Outputs:
        note(self)
        await asyncio.sleep(float(self.inputs.seconds))
        return self.Outputs(name=self.inputs.name)


class Mixed(BaseNode):
    """Succeeds, is pruned or goes back once, by its number."""

    class Inputs(BaseModel):
        number: str

    class Outputs(BaseModel):
        number: str

    async def execute(self) -> Outputs:
        times = note(self)
        match int(self.inputs.number.strip("r")) % 3:
            case 1:
                raise PruneSignal({"number": self.inputs.number})
            case 2 if times == 1:
                raise ReQueueAfterSignal(timedelta(milliseconds=20))
        return self.Outputs(number=self.inputs.number)


class Counted(BaseNode):
    """Notes which runtime executed it."""

    class Inputs(BaseModel):
        number: str

    async def execute(self) -> None:
        with TRACE.open("a") as trace:
            trace.write(f'{time.time_ns()} Counted {{"pid": "{os.getpid()}"}}\n')


class Deadly(BaseNode):
    """Kills its runtime."""

    async def execute(self) -> None:
        note(self)
        os.kill(os.getpid(), signal.SIGKILL)


NODES = [MyNode, Split, Process, Merge, Nothing, Fail, Pruned, Later, Secretive, Slow, Mixed, Counted, Deadly]
