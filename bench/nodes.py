"""What the benchmark runs: nodes that do nothing, so that only the engine and the runner are measured."""

import stoker


@stoker.node
def noop() -> None:
    return None


@stoker.node
def numbers(n: int) -> list[int]:
    return list(range(n))


@stoker.node
def same(x: int) -> int:
    return x


@stoker.node
def count(xs: list[int]) -> int:
    return len(xs)


@stoker.graph
def single():
    return noop()


@stoker.graph
def wide(n: int):
    return count(same.map(x=stoker.each(numbers(n))))


@stoker.graph
def chain(x: int):
    for _ in range(10):
        x = same(x)
    return x
