"""Random programs mean the same when evaluated by scopes and when traced, lowered and interpreted."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

import stoker.authoring as stoker
from stoker.core.compile import compile_graph

from .interpreter import Interpreter
from .programs import FUNCTIONS, Eager, Step, Traced, Unrelated, steps


def accepted(program: list[Step], first: list[int]) -> list[Step]:
    """The steps that fit together, judged by plain evaluation and by the compiler."""
    kept: list[Step] = []
    for step in program:
        trial = [*kept, step]
        try:
            Eager(trial, first).values()
            fits = True
        except (Unrelated, IndexError):
            fits = False
        try:
            Traced(trial, first).graph().spec
            compiled = True
        except stoker.Misuse:
            compiled = False
        if fits and compiled:
            kept = trial
        else:
            break
    return kept


def check(seed: int) -> int:
    dice = random.Random(seed)
    first = [dice.randrange(100) for _ in range(dice.randint(0, 3))]
    program: list[Step] = []
    for _ in range(12):
        candidate = steps(dice, 1, len(program) + 1)
        program = accepted([*program, *candidate], first) if len(program) < 7 else program
    graph = Traced(program, first).graph()
    if not program:
        return 0
    request = graph.push_request()
    compile_graph(request.graph, {kind.name: kind for kind in request.kinds})
    got = Interpreter(request.graph, FUNCTIONS, {"start": first}).result()
    assert got == Eager(program, first).result(), (seed, program, request.graph)
    return len(program)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_a_traced_program_means_what_it_says(seed):
    check(seed)
